"""Routes of sandboxes (wire-api 5.1-5.4)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import WithJsonSchema

from createos_engine.api import views
from createos_engine.api.auth import Caller, Ported, RuntimeCaller
from createos_engine.api.envelope import listing, success
from createos_engine.api.paging import Limit, Offset, page_of
from createos_engine.api.requests import CreateRequest, PatchRequest
from createos_engine.api.wire import CreatedView, DeletedView, Rows, SandboxView, answers
from createos_engine.errors import Invalid
from createos_engine.words import State

router = APIRouter(prefix="/v1/sandboxes", tags=["sandboxes"])
_STATES = WithJsonSchema({"type": "string", "enum": list(State)})


@router.post("", responses=answers(CreatedView, "The sandbox runs."))
async def create_sandbox(wanted: CreateRequest, user: Caller, ported: Ported) -> JSONResponse:
    """Create a sandbox and answer when it runs."""
    row = await ported.sandboxes.create(user, wanted.meaning())
    return success(views.created(row, ported))


@router.get("", responses=answers(Rows[SandboxView]))
async def list_sandboxes(
    user: Caller,
    ported: Ported,
    limit: Limit = None,
    offset: Offset = None,
    status: Annotated[str | None, _STATES, Query(description="Only sandboxes in this state.")] = None,
) -> JSONResponse:
    """List the caller's sandboxes, newest first."""
    page = page_of(limit, offset)
    rows, total = await ported.sandboxes.list(user, page, _state(status))
    return listing([views.sandbox(row, ported) for row in rows], total, page.limit, page.offset)


@router.get("/by-ip/{ip}", responses=answers(SandboxView))
async def get_sandbox_by_ip(ip: str, user: Caller, ported: Ported) -> JSONResponse:
    """Return the live sandbox with this address."""
    return success(views.sandbox(await ported.sandboxes.by_ip(user, ip), ported))


@router.get("/{sandbox_id}", responses=answers(SandboxView))
async def get_sandbox(sandbox_id: str, user: RuntimeCaller, ported: Ported) -> JSONResponse:
    """Return one sandbox, by id or name."""
    return success(views.sandbox(await ported.sandboxes.get(user, sandbox_id), ported))


@router.patch("/{sandbox_id}", responses=answers(SandboxView))
async def change_sandbox(sandbox_id: str, wanted: PatchRequest, user: Caller, ported: Ported) -> JSONResponse:
    """Change what can be changed of a sandbox that has not ended: all that is given, or nothing."""
    row = await ported.sandboxes.change(user, sandbox_id, wanted.meaning())
    return success(views.sandbox(row, ported))


@router.delete("/{sandbox_id}", responses=answers(DeletedView, "The end has begun."))
async def delete_sandbox(sandbox_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Begin the end of a sandbox; repeatable."""
    return success(views.deleted(await ported.sandboxes.delete(user, sandbox_id)))


def _state(status: str | None) -> State | None:
    if not status:
        return None
    try:
        return State(status)
    except ValueError as exc:
        known = ", ".join(State)
        raise Invalid(f"unknown status: {status}", hint=f"use one of {known}", field="status") from exc
