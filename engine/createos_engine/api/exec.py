"""Routes of programs in sandboxes (wire-api 7)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from createos_engine.api import views
from createos_engine.api.auth import Ported, RuntimeCaller
from createos_engine.api.envelope import success
from createos_engine.api.ndjson import Events, frames
from createos_engine.api.presence import CLIENT_CLOSED, LineStream, unless_gone
from createos_engine.api.requests import ExecRequest
from createos_engine.api.wire import ExecView, Responses, answers

router = APIRouter(prefix="/v1/sandboxes", tags=["exec"])
_STREAM: dict[str, Any] = {"application/x-ndjson": {"schema": {"type": "string"}}}
_ANSWERS: Responses = {200: answers(ExecView, "The program has ended.")[200] | {"content": _STREAM}}


@router.post("/{sandbox_id}/exec", responses=_ANSWERS)
async def exec_in_sandbox(
    sandbox_id: str,
    wanted: ExecRequest,
    request: Request,
    user: RuntimeCaller,
    ported: Ported,
    stream: Annotated[bool, Query(description="Answer with NDJSON while the program runs.")] = False,
) -> Response:
    """Run a program; a client that goes away ends it."""
    command = wanted.meaning()
    if stream or wanted.stream:
        events = Events(await ported.execs.stream(user, sandbox_id, command))
        await events.begin()
        return LineStream(frames(events), events)
    result = await unless_gone(request.receive, ported.execs.run(user, sandbox_id, command))
    return Response(status_code=CLIENT_CLOSED) if result is None else success(views.command_result(result))
