"""Routes of bandwidth (wire-api 12)."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from createos_engine.api import traffic_views as views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import success
from createos_engine.api.requests import RechargeRequest
from createos_engine.api.traffic_wire import BandwidthView
from createos_engine.api.wire import answers

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}/bandwidth", tags=["bandwidth"])


@router.get("", responses=answers(BandwidthView))
async def get_bandwidth(sandbox_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Return what was sent and got so far."""
    return success(views.bandwidth(await ported.bandwidth.get(user, sandbox_id)))


@router.post("/recharge", responses=answers(BandwidthView, "The quota is raised."))
async def recharge_bandwidth(sandbox_id: str, wanted: RechargeRequest, user: Caller, ported: Ported) -> JSONResponse:
    """Raise the quota; a sandbox without one stays without."""
    return success(views.bandwidth(await ported.bandwidth.recharge(user, sandbox_id, wanted.add_bytes)))
