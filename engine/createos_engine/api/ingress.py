"""The route of what public URLs are made of: an addition to the contract, for `createos trust`."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from createos_engine.api import views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import success
from createos_engine.api.network_wire import IngressView
from createos_engine.api.wire import answers

router = APIRouter(prefix="/v1", tags=["ingress"])


@router.get("/ingress", responses=answers(IngressView))
async def get_ingress(_: Caller, ported: Ported) -> JSONResponse:
    """Return the domain and ports of public URLs, and the certificate of the authority behind them."""
    return success(views.ingress(ported.ingress.facts()))
