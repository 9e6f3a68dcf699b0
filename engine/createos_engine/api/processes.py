"""Routes of managed processes (wire-api 8)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from createos_engine.api import process_views as views
from createos_engine.api.auth import Ported, RuntimeCaller
from createos_engine.api.envelope import success
from createos_engine.api.presence import CLIENT_CLOSED, LineStream, unless_gone
from createos_engine.api.process_requests import InputRequest, ProcessRequest, SignalRequest, SizeRequest
from createos_engine.api.process_views import DoneView, InputView, ProcessesView, ProcessView
from createos_engine.api.source import Source
from createos_engine.api.wire import Responses, answers
from createos_engine.errors import Invalid
from createos_engine.process import OutputOver, ProcessEvent, Scope

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}/processes", tags=["processes"])

# Clients give a request 60 s and take 408 as "ask again" (wire-api 8.9), so no wait comes near that.
WAIT_DEFAULT_MS, WAIT_MOST_MS = 30_000, 55_000
GRACE_DEFAULT_MS, GRACE_MOST_MS = 1_000, 300_000
_MOST_SEQ = 2**63 - 1
_NDJSON: dict[str, Any] = {"application/x-ndjson": {"schema": {"type": "string"}}}
_CONNECTED: Responses = {200: {"description": "Events as they come.", "content": _NDJSON}}


@router.post("", responses=answers(ProcessView, "The process runs."))
async def create_process(sandbox_id: str, wanted: ProcessRequest, user: RuntimeCaller, ported: Ported) -> JSONResponse:
    """Start a process that outlives this connection."""
    return success(views.process(await ported.processes.create(user, sandbox_id, wanted.meaning())))


@router.get("", responses=answers(ProcessesView))
async def list_processes(sandbox_id: str, user: RuntimeCaller, ported: Ported) -> JSONResponse:
    """List processes, the last that have ended included, oldest first."""
    rows = await ported.processes.list(user, sandbox_id)
    return success({"processes": [views.process(row) for row in rows]})


@router.get("/{process_id}", responses=answers(ProcessView))
async def get_process(sandbox_id: str, process_id: str, user: RuntimeCaller, ported: Ported) -> JSONResponse:
    """Return one process."""
    return success(views.process(await ported.processes.get(user, sandbox_id, process_id)))


@router.delete("/{process_id}", responses=answers(ProcessView))
async def delete_process(
    sandbox_id: str,
    process_id: str,
    user: RuntimeCaller,
    ported: Ported,
    grace_ms: Annotated[int, Query(ge=0, le=GRACE_MOST_MS, description="How long it may take to end by itself.")] = (
        GRACE_DEFAULT_MS
    ),
) -> JSONResponse:
    """End a process and everything it has started. Repeatable."""
    return success(views.process(await ported.processes.delete(user, sandbox_id, process_id, grace_ms / 1000)))


@router.get("/{process_id}/connect", responses=_CONNECTED, response_class=Response)
async def connect_process(
    sandbox_id: str,
    process_id: str,
    user: RuntimeCaller,
    ported: Ported,
    after: Annotated[int, Query(ge=0, le=_MOST_SEQ, description="Only events with a higher number.")] = 0,
) -> Response:
    """Replay output and follow it. A client that goes away leaves the process alone."""
    events = await ported.processes.connect(user, sandbox_id, process_id, after)
    source: Source[ProcessEvent] = Source(events, end=OutputOver())
    return LineStream(views.lines(source), source)


@router.post("/{process_id}/input", responses=answers(InputView))
async def write_input(
    sandbox_id: str, process_id: str, wanted: InputRequest, user: RuntimeCaller, ported: Ported
) -> JSONResponse:
    """Write to the process's input or terminal; what one call brings stays together."""
    seq = await ported.processes.input(user, sandbox_id, process_id, wanted.meaning())
    return success({"input_seq": seq})


@router.post("/{process_id}/stdin/close", responses=answers(DoneView))
async def close_stdin(sandbox_id: str, process_id: str, user: RuntimeCaller, ported: Ported) -> JSONResponse:
    """End the input of a process on pipes."""
    await ported.processes.close_stdin(user, sandbox_id, process_id)
    return success({"ok": True})


@router.post("/{process_id}/resize", responses=answers(DoneView))
async def resize_process(
    sandbox_id: str, process_id: str, wanted: SizeRequest, user: RuntimeCaller, ported: Ported
) -> JSONResponse:
    """Tell a terminal its size."""
    await ported.processes.resize(user, sandbox_id, process_id, wanted.rows, wanted.cols)
    return success({"ok": True})


@router.post("/{process_id}/signal", responses=answers(DoneView))
async def signal_process(
    sandbox_id: str, process_id: str, wanted: SignalRequest, user: RuntimeCaller, ported: Ported
) -> JSONResponse:
    """Signal the process group, or the foreground group of a terminal."""
    await ported.processes.signal(user, sandbox_id, process_id, wanted.signal.value)
    return success({"ok": True})


@router.get("/{process_id}/wait", responses=answers(ProcessView, "It has ended; 408: not yet."))
async def wait_for_process(
    sandbox_id: str,
    process_id: str,
    request: Request,
    user: RuntimeCaller,
    ported: Ported,
    scope: Annotated[str, Query(description="leader, or tree for everything it has started.")] = Scope.LEADER,
    timeout_ms: Annotated[int, Query(ge=0, le=_MOST_SEQ, description=f"At most {WAIT_MOST_MS} are waited.")] = (
        WAIT_DEFAULT_MS
    ),
) -> Response:
    """Answer when the process has ended."""
    timeout_s = min(timeout_ms, WAIT_MOST_MS) / 1000
    work = ported.processes.wait(user, sandbox_id, process_id, _scope(scope), timeout_s)
    row = await unless_gone(request.receive, work)
    return Response(status_code=CLIENT_CLOSED) if row is None else success(views.process(row))


def _scope(text: str) -> Scope:
    try:
        return Scope(text or Scope.LEADER)
    except ValueError as exc:
        raise Invalid(f"unknown scope: {text}; it is leader or tree", field="scope") from exc
