"""Routes of checkpoints, an extension of the contract: named snapshots, and forks of them."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, NotRequired

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse
from pydantic import field_validator
from typing_extensions import TypedDict

from createos_engine.api import views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import listing, success
from createos_engine.api.paging import Limit, Offset, page_of
from createos_engine.api.requests import Lenient, Text
from createos_engine.api.snapshot_requests import ForkRequest
from createos_engine.api.snapshots import POLL_AFTER_S
from createos_engine.api.wire import Rows, SandboxView, answers
from createos_engine.checkpoint_words import Checkpoint

router = APIRouter(prefix="/v1", tags=["checkpoints"])

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class CheckpointRequest(Lenient):
    """POST /v1/sandboxes/{id}/checkpoints; without a name one is made."""

    name: Text = ""

    @field_validator("name")
    @classmethod
    def _name_is_a_label(cls, name: str) -> str:
        if name and (not _NAME.fullmatch(name) or name.startswith("cp-")):
            raise ValueError(
                "a checkpoint's name has 1 to 63 characters of a-z, 0-9 and -, and does not begin with - or cp-"
            )
        return name


class CheckpointView(TypedDict):
    """A checkpoint; `parent` is the id of the one before it."""

    id: str
    name: str
    sandbox_id: str
    sandbox_name: str
    shape: str
    rootfs: str
    created_at: str
    parent: NotRequired[str]


@router.post("/sandboxes/{sandbox_id}/checkpoints", responses=answers(CheckpointView, "The checkpoint is there."))
async def create_checkpoint(
    sandbox_id: str, user: Caller, ported: Ported, wanted: Annotated[CheckpointRequest | None, Body()] = None
) -> JSONResponse:
    """Name the present state of a paused sandbox, or of a running one: that is paused for it and resumed."""
    return success(_view(await ported.checkpoints.create(user, sandbox_id, (wanted or CheckpointRequest()).name)))


@router.get("/checkpoints", responses=answers(Rows[CheckpointView]))
async def list_checkpoints(user: Caller, ported: Ported, limit: Limit = None, offset: Offset = None) -> JSONResponse:
    """List the caller's checkpoints, newest first."""
    page = page_of(limit, offset)
    rows, total = await ported.checkpoints.list(user, page)
    return listing([_view(row) for row in rows], total, page.limit, page.offset)


@router.get("/checkpoints/{checkpoint_id}", responses=answers(CheckpointView))
async def get_checkpoint(checkpoint_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Return one checkpoint, by id or name."""
    return success(_view(await ported.checkpoints.get(user, checkpoint_id)))


@router.post("/checkpoints/{checkpoint_id}/fork", responses=answers(SandboxView, "Never.", "The fork has begun."))
async def fork_checkpoint(
    checkpoint_id: str, user: Caller, ported: Ported, wanted: Annotated[ForkRequest | None, Body()] = None
) -> JSONResponse:
    """Begin a fork of a checkpoint; poll the new sandbox until it is `running`, or `paused` if that was asked for."""
    child = await ported.checkpoints.fork(user, checkpoint_id, (wanted or ForkRequest()).meaning())
    answer = success(views.sandbox(child, ported), HTTPStatus.ACCEPTED)
    answer.headers["X-Poll-After"] = str(POLL_AFTER_S)
    return answer


@router.delete("/checkpoints/{checkpoint_id}", responses=answers(CheckpointView, "The checkpoint is gone."))
async def delete_checkpoint(checkpoint_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Delete a checkpoint; sandboxes that were forked from it stay."""
    return success(_view(await ported.checkpoints.delete(user, checkpoint_id)))


def _view(row: Checkpoint) -> CheckpointView:
    view: CheckpointView = {
        "id": row.id,
        "name": row.name,
        "sandbox_id": row.source.id,
        "sandbox_name": row.source.name,
        "shape": row.source.shape,
        "rootfs": row.source.rootfs,
        "created_at": views.moment(row.created_at),
    }
    if row.parent:
        view["parent"] = row.parent
    return view
