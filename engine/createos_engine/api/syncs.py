"""The route of file synchronisation, an extension: raw bytes to the guest agent (PROTOCOL.md, "sync")."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from createos_engine.api.auth import Ported, RuntimeCaller
from createos_engine.api.offers import TunnelOffer, taken_over
from createos_engine.api.wire import UPGRADED

router = APIRouter(prefix="/v1/sandboxes", tags=["files"])


@router.post("/{sandbox_id}/sync", responses=UPGRADED)
async def sync_with_sandbox(sandbox_id: str, user: RuntimeCaller, ported: Ported, offer: TunnelOffer) -> Response:
    """Open a synchronisation stream: `Upgrade: tcp-tunnel`, then messages of the guest protocol."""
    syncing = await ported.syncs.open(user, sandbox_id)
    await syncing.carry(offer.accept())
    return taken_over()
