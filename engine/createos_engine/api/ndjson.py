"""The stream of an exec: one ASCII JSON object a line, one key in each (wire-api 7.3)."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

import structlog

from createos_engine.errors import EngineError
from createos_engine.words import Ended, Output

log = structlog.get_logger(__name__)

HEARTBEAT_S = 5.0
# A refusal of the guest comes back within milliseconds; a program that says nothing is not held up any longer.
PATIENCE_S = 0.25
# An escaped character takes up to 12 bytes (a surrogate pair); lines stay below 64 KiB.
_PIECE = 5_000
_NAMES = {1: "stdout", 2: "stderr"}
_CANNOT_RUN = 126
_NO_END = Ended(_CANNOT_RUN, error="the end of the program was not reported")

Event = Output | Ended


class Events:
    """What a running program says, taken one at a time. `close` ends the program if it still runs."""

    def __init__(self, source: AsyncIterator[Event]) -> None:
        self._source = source
        self._waiting: asyncio.Future[Event] | None = None

    async def begin(self, patience_s: float = PATIENCE_S) -> None:
        """Wait a moment for the first event; raises what kept the program from starting."""
        waiting = self._ask()
        try:
            await asyncio.wait([waiting], timeout=patience_s)
        except asyncio.CancelledError:
            await self.close()
            raise
        if waiting.done() and (failed := waiting.exception()):
            raise failed

    async def next(self, within_s: float) -> Event | None:
        """Return the next event, or None when none came in time."""
        waiting = self._ask()
        done, _ = await asyncio.wait([waiting], timeout=within_s)
        if not done:
            return None
        self._waiting = None
        return waiting.result()

    async def close(self) -> None:
        """Let go of the source, which ends the program."""
        if self._waiting:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        if isinstance(self._source, AsyncGenerator):
            await self._source.aclose()

    def _ask(self) -> asyncio.Future[Event]:
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(anext(self._source, _NO_END))
        return self._waiting


async def frames(events: Events, heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[str]:
    """Yield the lines of a stream: output as it comes, a heartbeat in silence, and always an exit code at the end."""
    decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in _NAMES}
    ended: Ended | None = None
    while ended is None:
        try:
            event = await events.next(heartbeat_s)
        except EngineError as exc:
            event = Ended(_CANNOT_RUN, error=exc.sentence)
        except Exception:
            # A stream without an exit code is a success to some clients (wire-api 7.3), so a bug must not cut it.
            log.exception("a stream ended with a bug")
            event = Ended(_CANNOT_RUN, error="createosd has made a mistake; its log has the details")
        if event is None:
            yield _line("hb", True)
        elif isinstance(event, Output):
            for line in _pieces(event.stream, decoders[event.stream].decode(event.data)):
                yield line
        else:
            ended = event
    for line in _end(ended, decoders):
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
