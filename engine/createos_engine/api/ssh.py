"""Routes of SSH: the keys of a sandbox (wire-api 5.4), and where the gateway is."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from createos_engine.api import views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import success
from createos_engine.api.requests import SshKeysRequest
from createos_engine.api.wire import KeyCountView, SshGatewayView, answers

router = APIRouter(prefix="/v1", tags=["ssh"])


@router.post("/sandboxes/{sandbox_id}/ssh-pubkeys", responses=answers(KeyCountView, "How many keys it has now."))
async def add_ssh_pubkeys(sandbox_id: str, wanted: SshKeysRequest, user: Caller, ported: Ported) -> JSONResponse:
    """Let the owners of these keys in over SSH; those that are there already change nothing."""
    return success({"count": await ported.ssh.add_keys(user, sandbox_id, tuple(wanted.keys))})


@router.get("/ssh-gateway", responses=answers(SshGatewayView))
async def get_ssh_gateway(_: Caller, ported: Ported) -> JSONResponse:
    """Say where SSH is listened for and by which key to know it; `reason` says why it is not."""
    return success(views.ssh_gateway(ported.ssh.gateway))
