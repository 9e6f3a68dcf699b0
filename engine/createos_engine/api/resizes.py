"""The route of a larger disk (wire-api 5.4)."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import success
from createos_engine.api.requests import ResizeRequest
from createos_engine.api.wire import ResizedView, answers

router = APIRouter(prefix="/v1/sandboxes", tags=["sandboxes"])


@router.post("/{sandbox_id}/resize", responses=answers(ResizedView, "The disk and its file system have grown."))
async def resize_sandbox(sandbox_id: str, wanted: ResizeRequest, user: Caller, ported: Ported) -> JSONResponse:
    """Grow the root disk of a running sandbox."""
    row = await ported.resizes.resize(user, sandbox_id, wanted.disk_mib)
    return success({"id": row.id, "disk_mib": row.disk_mib})
