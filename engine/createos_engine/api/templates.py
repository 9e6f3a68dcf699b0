"""Routes of templates (wire-api 15)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from createos_engine.api import template_views as views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import listing, success
from createos_engine.api.paging import Limit, Offset, page_of
from createos_engine.api.template_log import LogStream
from createos_engine.api.template_requests import TemplateRequest
from createos_engine.api.template_views import RemovedView, TemplateView
from createos_engine.api.wire import Rows, answers

router = APIRouter(prefix="/v1/templates", tags=["templates"])
Attempt = Annotated[
    int | None, Query(ge=0, le=2**31, description="Which attempt, from 1; the latest when left out or 0.")
]


@router.post("", responses=answers(TemplateView, "The build is queued."))
async def submit_template(wanted: TemplateRequest, user: Caller, ported: Ported) -> JSONResponse:
    """Queue the build of a Dockerfile; a name that exists gets a new version."""
    return success(views.template(await ported.templates.submit(user, wanted.meaning())))


@router.get("", responses=answers(Rows[TemplateView]))
async def list_templates(user: Caller, ported: Ported, limit: Limit = None, offset: Offset = None) -> JSONResponse:
    """List the caller's templates, newest first."""
    page = page_of(limit, offset)
    rows, total = await ported.templates.list(user, page)
    return listing([views.template(row) for row in rows], total, page.limit, page.offset)


@router.get("/{template_id}", responses=answers(TemplateView))
async def get_template(
    template_id: str,
    user: Caller,
    ported: Ported,
    include: Annotated[str, Query(description="`dockerfile` adds the Dockerfile.")] = "",
) -> JSONResponse:
    """Return one template, by id or name."""
    row = await ported.templates.get(user, template_id)
    return success(views.template(row, dockerfile="dockerfile" in include.split(",")))


@router.delete("/{template_id}", responses=answers(RemovedView, "It is gone; sandboxes made from it stay."))
async def delete_template(template_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Remove a template and end its build."""
    row = await ported.templates.delete(user, template_id)
    return success({"id": row.id, "deleted": True})


@router.get("/{template_id}/logs", responses={200: {"content": {"text/plain": {}, "application/x-ndjson": {}}}})
async def get_template_logs(
    template_id: str,
    user: Caller,
    ported: Ported,
    attempt: Attempt = None,
    follow: Annotated[bool, Query(description="Answer with NDJSON until the build ends.")] = False,
) -> Response:
    """Return what a build has printed: as text so far, or as JSON lines as they come."""
    if follow:
        return LogStream(await ported.templates.follow(user, template_id, attempt or None))
    lines = await ported.templates.log(user, template_id, attempt or None)
    return PlainTextResponse("".join(f"{line.line}\n" for line in lines))
