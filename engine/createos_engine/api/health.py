"""Routes for those who watch the daemon (wire-api 6)."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from createos_engine.api import views
from createos_engine.api.auth import Ported
from createos_engine.api.envelope import success
from createos_engine.api.wire import HealthView, ReadyView, Responses, Success, answers

router = APIRouter(tags=["health"])
_NOT_READY: Responses = {503: {"model": Success[ReadyView], "description": "Creates cannot work now."}}


@router.get("/healthz", responses=answers(HealthView))
async def healthz() -> JSONResponse:
    """Answer as long as the daemon does."""
    return success({"up": True})


@router.get("/readyz", responses=answers(ReadyView) | _NOT_READY)
async def readyz(ported: Ported) -> JSONResponse:
    """Tell whether creates can work now; the body has the same form either way."""
    state = await ported.health.readiness()
    return success(views.readiness(state), HTTPStatus.OK if state.ready else HTTPStatus.SERVICE_UNAVAILABLE)
