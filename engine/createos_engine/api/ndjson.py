"""The stream of an exec: one ASCII JSON object a line, one key in each (wire-api 7.3)."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Mapping

import structlog

from createos_engine.api.source import Source
from createos_engine.errors import EngineError
from createos_engine.words import Ended, Output

log = structlog.get_logger(__name__)

HEARTBEAT_S = 5.0
# An escaped character takes up to 12 bytes (a surrogate pair); lines stay below 64 KiB.
_PIECE = 5_000
_NAMES = {1: "stdout", 2: "stderr"}
_CANNOT_RUN = 126
_NO_END = Ended(_CANNOT_RUN, error="the end of the program was not reported")

Event = Output | Ended


class Events(Source[Event]):
    """What a running program says."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        super().__init__(events, end=_NO_END)


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
