"""Routes of interactive shells (wire-api 9.2, 9.4)."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from createos_engine.api.auth import Ported, RuntimeCaller
from createos_engine.api.offers import TunnelOffer, WebSocketOffer, taken_over
from createos_engine.api.websocket import Greeting, WebSocket
from createos_engine.api.wire import UPGRADED

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}", tags=["shells"])


@router.post("/shell", responses=UPGRADED)
async def open_shell(sandbox_id: str, user: RuntimeCaller, ported: Ported, offer: TunnelOffer) -> Response:
    """Turn the connection into the default user's shell on a terminal: frames in, raw output out."""
    session = await ported.shells.open(user, sandbox_id)
    await session.serve(offer.accept())
    return taken_over()


@router.get("/shell-ws", responses=UPGRADED)
async def open_shell_in_browser(
    sandbox_id: str, user: RuntimeCaller, ported: Ported, offer: WebSocketOffer, greeting: Greeting
) -> Response:
    """Do the same over a WebSocket, whose messages are binary; a browser sends its key as a sub-protocol."""
    session = await ported.shells.open(user, sandbox_id)
    await session.serve(WebSocket(offer.accept(greeting.headers)))
    return taken_over()
