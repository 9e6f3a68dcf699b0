"""Routes of delegated access tokens (wire-api 4.3). A delegated token itself may not call them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from createos_engine.api import views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import success
from createos_engine.api.wire import AccessTokenGivenView, AccessTokenView, answers

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}/access-token", tags=["access tokens"])


@router.post("", responses=answers(AccessTokenGivenView, "The token; it is shown only here."))
async def create_access_token(sandbox_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Make a token that works inside this sandbox only; 409 when there is one."""
    return success(views.access_token_given(*await ported.access_tokens.create(user, sandbox_id)))


@router.get("", responses=answers(AccessTokenView))
async def get_access_token(sandbox_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Say whether there is a token, and how it begins and ends."""
    return success(views.access_token(await ported.access_tokens.get(user, sandbox_id)))


@router.post("/rotate", responses=answers(AccessTokenGivenView, "The new token; the old one has ended."))
async def rotate_access_token(sandbox_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Replace the token; 404 when there is none."""
    return success(views.access_token_given(*await ported.access_tokens.rotate(user, sandbox_id)))


@router.delete("", responses=answers(AccessTokenView, "There is no token any more."))
async def delete_access_token(sandbox_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """End the token; repeatable."""
    await ported.access_tokens.delete(user, sandbox_id)
    return success(views.access_token(None))
