"""Routes of programs in sandboxes (wire-api 7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import success
from createos_engine.api.ndjson import frames
from createos_engine.api.ports import Services
from createos_engine.api.requests import ExecRequest
from createos_engine.words import Command, CommandResult, User

router = APIRouter(prefix="/v1/sandboxes", tags=["exec"])
_NDJSON = "application/x-ndjson"
_CLIENT_CLOSED = 499


@router.post("/{sandbox_id}/exec", response_class=Response)
async def exec_in_sandbox(
    sandbox_id: str,
    wanted: ExecRequest,
    request: Request,
    user: Caller,
    ported: Ported,
    stream: bool = Query(False, description="Answer with NDJSON while the program runs."),
) -> Response:
    """Run a program; a client that goes away ends it."""
    command = wanted.meaning()
    if stream or wanted.stream:
        events = await ported.execs.stream(user, sandbox_id, command)
        return StreamingResponse(_encoded(frames(events)), media_type=_NDJSON)
    result = await _while_connected(request, ported, user, sandbox_id, command)
    if result is None:
        return Response(status_code=_CLIENT_CLOSED)
    return _buffered(result)


async def _encoded(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield line.encode("ascii")


def _buffered(result: CommandResult) -> JSONResponse:
    answer: dict[str, object] = {
        "stdout": result.stdout.decode(errors="replace"),
        "stderr": result.stderr.decode(errors="replace"),
        "exit_code": result.exit_code,
    }
    if result.error:
        answer["error"] = result.error
    return success({"result": answer, "exec_ms": result.exec_ms})


async def _while_connected(
    request: Request, ported: Services, user: User, sandbox_id: str, command: Command
) -> CommandResult | None:
    """Return the result, or None when the client went away first; the program is ended then."""
    work = asyncio.ensure_future(ported.execs.run(user, sandbox_id, command))
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        return await work if work.done() else None
    finally:
        gone.cancel()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
