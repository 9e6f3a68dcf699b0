"""Managed processes as they are on the wire (wire-api 8.1); what is absent is left out."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Literal, NotRequired, cast

import structlog
from typing_extensions import TypedDict

from createos_engine.api.ndjson import HEARTBEAT_S
from createos_engine.api.source import Source
from createos_engine.api.views import moment
from createos_engine.process import (
    Foreground,
    OutputExpired,
    OutputLost,
    OutputOver,
    Process,
    ProcessEvent,
    ProcessExit,
    ProcessOutput,
)

log = structlog.get_logger(__name__)

EXPIRED = "output offset expired"


class ForegroundView(TypedDict):
    """The job a terminal belongs to."""

    pid: int
    cmd: str
    args: NotRequired[list[str]]


class OutputView(TypedDict):
    """What of the output can be read."""

    oldest_seq: int
    newest_seq: int
    bytes: int


class ProcessView(TypedDict):
    """A managed process."""

    process_id: str
    kind: Literal["process", "pty"]
    pid: int
    state: Literal["starting", "running", "terminating", "exited", "failed"]
    leader_exited: bool
    tree_exited: bool
    created_at: str
    cmd: str
    cwd: str
    output: OutputView
    args: NotRequired[list[str]]
    finished_at: NotRequired[str]
    exit_code: NotRequired[int]
    signal: NotRequired[str]
    foreground: NotRequired[ForegroundView]


class ProcessesView(TypedDict):
    """All of them; not paginated."""

    processes: list[ProcessView]


class InputView(TypedDict):
    """How many calls have brought input so far."""

    input_seq: int


class DoneView(TypedDict):
    """It was done."""

    ok: Literal[True]


def process(row: Process) -> ProcessView:
    """Return the object of 8.1."""
    view = {
        "process_id": row.id,
        "kind": "pty" if row.on_terminal else "process",
        "pid": row.pid,
        "state": row.state.value,
        "leader_exited": row.leader_exited,
        "tree_exited": row.tree_exited,
        "created_at": moment(row.created_at),
        "finished_at": row.finished_at and moment(row.finished_at),
        "exit_code": row.exit_code,
        "signal": row.signal or None,
        "cmd": row.cmd,
        "args": list(row.args) or None,
        "cwd": row.cwd,
        "foreground": row.foreground and _foreground(row.foreground),
        "output": {
            "oldest_seq": row.output.oldest_seq,
            "newest_seq": row.output.newest_seq,
            "bytes": row.output.bytes,
        },
    }
    return cast("ProcessView", {key: value for key, value in view.items() if value is not None})


def _foreground(row: Foreground) -> ForegroundView:
    view: ForegroundView = {"pid": row.pid, "cmd": row.cmd}
    if row.args:
        view["args"] = list(row.args)
    return view


async def lines(source: Source[ProcessEvent], heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[str]:
    """Yield the lines of a connected reader: events as they come, a heartbeat in silence (wire-api 8.4)."""
    going = True
    while going:
        try:
            event = await source.next(heartbeat_s)
        except Exception:
            log.exception("a reader of a process ended with a bug")
            event = OutputLost("createosd has made a mistake; its log has the details")
        going = event is None or isinstance(event, ProcessOutput)
        if not isinstance(event, OutputOver):
            yield json.dumps(_line(event), ensure_ascii=True, separators=(",", ":")) + "\n"


def _line(event: ProcessEvent | None) -> dict[str, object]:
    match event:
        case ProcessOutput():
            data = base64.b64encode(event.data).decode()
            return {"type": "data", "seq": event.seq, "stream": event.stream, "data_base64": data}
        case ProcessExit():
            said = {"type": "exit", "seq": event.seq, "exit_code": event.exit_code}
            return {**said, "signal": event.signal} if event.signal else said
        case OutputExpired():
            return {"type": "error", "error": EXPIRED, "oldest_available_seq": event.oldest_seq}
        case OutputLost():
            return {"type": "error", "error": event.reason}
        case _:
            return {"type": "heartbeat"}
