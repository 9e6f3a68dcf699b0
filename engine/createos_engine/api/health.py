"""Routes for those who watch the daemon (wire-api 6)."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from createos_engine.api import views
from createos_engine.api.auth import Ported
from createos_engine.api.envelope import success

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """Answer as long as the daemon does."""
    return success({"up": True})


@router.get("/readyz", responses={HTTPStatus.SERVICE_UNAVAILABLE: {"description": "Creates cannot work now."}})
async def readyz(ported: Ported) -> JSONResponse:
    """Tell whether creates can work now; the body has the same form either way."""
    state = await ported.health.readiness()
    return success(views.readiness(state), HTTPStatus.OK if state.ready else HTTPStatus.SERVICE_UNAVAILABLE)
