"""The stream of an exec: one ASCII JSON object a line, one key in each (wire-api 7.3)."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Mapping

from createos_engine.errors import EngineError
from createos_engine.words import Ended, Output

HEARTBEAT_S = 5.0
# An escaped character takes up to 12 bytes (a surrogate pair); lines stay below 64 KiB.
_PIECE = 5_000
_NAMES = {1: "stdout", 2: "stderr"}
_LOST = 126


async def frames(events: AsyncIterator[Output | Ended], heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[str]:
    """Yield the lines of a stream: output as it comes, a heartbeat in silence, and always an exit code at the end."""
    decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in _NAMES}
    try:
        async for event in _with_heartbeat(events, heartbeat_s):
            if event is None:
                yield _line("hb", True)
            elif isinstance(event, Output):
                for line in _pieces(event.stream, decoders[event.stream].decode(event.data)):
                    yield line
            else:
                for line in _end(event, decoders):
                    yield line
    except EngineError as exc:
        for line in _end(Ended(_LOST, error=exc.sentence), decoders):
            yield line


def _end(event: Ended, decoders: Mapping[int, codecs.IncrementalDecoder]) -> list[str]:
    lines = [line for stream in decoders for line in _pieces(stream, decoders[stream].decode(b"", final=True))]
    if event.error:
        lines.append(_line("error", event.error[:_PIECE]))
    return [*lines, _line("exit_code", event.exit_code)]


def _pieces(stream: int, text: str) -> list[str]:
    return [_line(_NAMES[stream], text[begin : begin + _PIECE]) for begin in range(0, len(text), _PIECE)]


def _line(key: str, value: object) -> str:
    return json.dumps({key: value}, ensure_ascii=True, separators=(",", ":")) + "\n"


async def _with_heartbeat(
    events: AsyncIterator[Output | Ended], heartbeat_s: float
) -> AsyncIterator[Output | Ended | None]:
    """Yield the events, and None for every *heartbeat_s* seconds without one; closes *events* when it is closed."""
    waiting: asyncio.Future[Output | Ended] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([waiting], timeout=heartbeat_s)
            if not done:
                yield None
                continue
            finished, waiting = waiting, None
            try:
                event = finished.result()
            except StopAsyncIteration:
                return
            yield event
    finally:
        if waiting:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        if close := getattr(events, "aclose", None):
            await close()
