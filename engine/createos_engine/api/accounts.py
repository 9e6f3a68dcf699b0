"""Routes of the caller's own account (wire-api 4.2), and the local way to a token."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from createos_engine.api import views
from createos_engine.api.auth import Caller, LocalCaller, Ported
from createos_engine.api.envelope import success
from createos_engine.api.wire import AccountView, TokenView, WhoamiView, answers

router = APIRouter(prefix="/v1", tags=["accounts"])


@router.get("/whoami", responses=answers(WhoamiView))
async def whoami(user: Caller, ported: Ported) -> JSONResponse:
    """Return the caller's id and how many sandboxes there are."""
    return success(views.whoami(user, await ported.sandboxes.counts(user)))


@router.get("/users/me", responses=answers(AccountView))
async def get_me(user: Caller) -> JSONResponse:
    """Return the caller as the hosted service's main API does; its command line asks when logging in."""
    return success(views.account(user))


@router.post("/local/tokens", responses=answers(TokenView))
async def mint_local_token(user: LocalCaller, ported: Ported) -> JSONResponse:
    """Return a new token of the local user at the other end of the unix socket."""
    token = await ported.accounts.mint_token(user, "local login")
    return success({"token": token, "user_id": user.id, "name": user.name})
