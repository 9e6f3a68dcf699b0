"""What a guest says of its processes: descriptions and records of output. Nothing in it is believed."""

from __future__ import annotations

import re
import struct
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

from createos_engine.drivers.channel.answers import integer, parse_object, printable
from createos_engine.drivers.channel.stream import Stream
from createos_engine.errors import GuestFailed
from createos_engine.process import Foreground, OutputWindow, Process, ProcessExit, ProcessOutput, ProcessState

MAX_PROCESSES = 1_000
EVENT_BYTES = 32_768

_RECORD = struct.Struct(">BQI")
_SOURCES = {1: "stdout", 2: "stderr", 3: "pty"}
_EXIT = 4
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_YEAR_9999_MS = 253_402_300_799_000
_MAX_TEXT = 65_536


def described(line: bytes) -> Process:
    """Return the process of one description, or raise GuestFailed."""
    said = parse_object(line, "the description of a process")
    output = _object(said, "output")
    foreground = said.get("foreground")
    return Process(
        id=_id(said),
        on_terminal=said.get("kind") == "pty",
        pid=integer(said, "pid", at_most=2**31),
        state=_state(said),
        leader_exited=said.get("leader_exited") is True,
        tree_exited=said.get("tree_exited") is True,
        created_at=_moment(said, "created_ms"),
        finished_at=_moment(said, "finished_ms") if "finished_ms" in said else None,
        exit_code=integer(said, "exit_code", at_most=255) if "exit_code" in said else None,
        signal=printable(said.get("signal"), 32),
        cmd=_text(said, "cmd"),
        args=_texts(said),
        cwd=_text(said, "cwd"),
        foreground=_foreground(foreground) if isinstance(foreground, Mapping) else None,
        output=OutputWindow(integer(output, "oldest_seq"), integer(output, "newest_seq"), integer(output, "bytes")),
    )


async def records(stream: Stream, after: int) -> AsyncIterator[ProcessOutput | ProcessExit]:
    """Return the events of an attached stream as they come; GuestFailed for what cannot be one."""
    held = bytearray()
    async for piece in stream:
        held += piece.data
        while len(held) >= _RECORD.size:
            source, seq, size = _RECORD.unpack_from(held)
            if (source not in _SOURCES and source != _EXIT) or size > EVENT_BYTES or not after < seq < 2**63:
                raise GuestFailed("the guest agent sent output that is none", hint="build the images again")
            end = _RECORD.size + size
            if len(held) < end:
                break
            after = seq
            yield _event(source, seq, bytes(held[_RECORD.size : end]))
            del held[:end]


def _event(source: int, seq: int, data: bytes) -> ProcessOutput | ProcessExit:
    if source != _EXIT:
        return ProcessOutput(seq, _SOURCES[source], data)
    said = parse_object(data, "the exit of a process")
    return ProcessExit(seq, integer(said, "exit_code", at_most=255), printable(said.get("signal"), 32))


def _foreground(said: Mapping[str, object]) -> Foreground:
    return Foreground(integer(said, "pid", at_most=2**31), _text(said, "cmd"), _texts(said))


def _id(said: Mapping[str, object]) -> str:
    value = said.get("process_id")
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise _invalid("process_id")
    return value


def _state(said: Mapping[str, object]) -> ProcessState:
    try:
        return ProcessState(str(said.get("state")))
    except ValueError as exc:
        raise _invalid("state") from exc


def _moment(said: Mapping[str, object], key: str) -> datetime:
    return datetime.fromtimestamp(integer(said, key, at_most=_YEAR_9999_MS) / 1000, UTC)


def _object(said: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = said.get(key)
    if not isinstance(value, Mapping):
        raise _invalid(key)
    return value


def _text(said: Mapping[str, object], key: str) -> str:
    value = said.get(key, "")
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise _invalid(key)
    return value


def _texts(said: Mapping[str, object]) -> tuple[str, ...]:
    value = said.get("args", [])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise _invalid("args")
    return tuple(value)


def _invalid(key: str) -> GuestFailed:
    return GuestFailed(f"the guest agent describes a process without a valid {key}", hint="build the images again")
