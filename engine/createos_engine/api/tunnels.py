"""The route of TCP connections into a sandbox (wire-api 9.3)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from createos_engine.api.auth import Ported, RuntimeCaller
from createos_engine.api.offers import TunnelOffer, taken_over
from createos_engine.api.wire import UPGRADED

router = APIRouter(prefix="/v1/sandboxes", tags=["tunnels"])


@router.post("/{sandbox_id}/tunnel/{port}", responses=UPGRADED)
async def open_tunnel(
    sandbox_id: str,
    port: Annotated[int, Path(description="A TCP port inside the sandbox, 1 to 65535.")],
    user: RuntimeCaller,
    ported: Ported,
    offer: TunnelOffer,
) -> Response:
    """Connect to a port inside the sandbox; after 101 the connection is that connection (Upgrade: tcp-tunnel)."""
    tunnel = await ported.tunnels.dial(user, sandbox_id, port)
    await tunnel.carry(offer.accept())
    return taken_over()
