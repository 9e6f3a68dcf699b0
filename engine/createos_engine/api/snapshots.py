"""Routes of pause, resume and fork (wire-api 5.4)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse

from createos_engine.api import views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import success
from createos_engine.api.ports import Services
from createos_engine.api.snapshot_requests import ForkRequest
from createos_engine.api.wire import SandboxView, answers
from createos_engine.words import Sandbox, State

router = APIRouter(prefix="/v1/sandboxes", tags=["snapshots"])

POLL_AFTER_S = 1
_THERE = frozenset({State.PAUSED, State.RUNNING})


@router.post("/{sandbox_id}/pause", responses=answers(SandboxView, "It is paused already.", "The pause has begun."))
async def pause_sandbox(sandbox_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Begin to pause a running sandbox; poll it until it is `paused`."""
    return _begun(await ported.pauses.pause(user, sandbox_id), ported)


@router.post("/{sandbox_id}/resume", responses=answers(SandboxView, "It runs already.", "The resume has begun."))
async def resume_sandbox(
    sandbox_id: str,
    user: Caller,
    ported: Ported,
    cold: Annotated[bool, Query(description="Boot the disk and give up the memory.")] = False,
) -> JSONResponse:
    """Begin to resume a sandbox that is paused or in error; poll it until it is `running`."""
    return _begun(await ported.resumes.resume(user, sandbox_id, cold=cold), ported)


@router.post("/{sandbox_id}/fork", responses=answers(SandboxView, "Never.", "The fork has begun."))
async def fork_sandbox(
    sandbox_id: str, user: Caller, ported: Ported, wanted: Annotated[ForkRequest | None, Body()] = None
) -> JSONResponse:
    """Begin a fork of a paused sandbox; poll the new one until it is `running`, or `paused` if that was asked for."""
    child = await ported.forks.fork(user, sandbox_id, (wanted or ForkRequest()).meaning())
    return _begun(child, ported)


def _begun(row: Sandbox, ported: Services) -> JSONResponse:
    if row.state in _THERE:
        return success(views.sandbox(row, ported))
    answer = success(views.sandbox(row, ported), HTTPStatus.ACCEPTED)
    answer.headers["X-Poll-After"] = str(POLL_AFTER_S)
    return answer
