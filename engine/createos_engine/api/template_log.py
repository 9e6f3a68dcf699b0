"""The log of a build as it grows: one ASCII JSON object a line (wire-api 15)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from createos_engine.api.presence import unless_gone
from createos_engine.api.views import moment
from createos_engine.template_words import BuildStatus, LogLine

Event = LogLine | BuildStatus | None
# Lines stay below 64 KiB when every character is escaped.
_LONGEST = 5_000


class LogStream(StreamingResponse):
    """NDJSON until the build ends or the client goes away; the build itself goes on."""

    media_type = "application/x-ndjson"

    def __init__(self, events: AsyncIterator[Event]) -> None:
        super().__init__(_frames(events))
        self._events = events

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send lines, and let go of the log at the end."""
        try:
            await unless_gone(receive, self.stream_response(send))
        finally:
            if isinstance(self._events, AsyncGenerator):
                await self._events.aclose()


async def _frames(events: AsyncIterator[Event]) -> AsyncIterator[str]:
    async for event in events:
        if isinstance(event, LogLine):
            yield _line({"ts": moment(event.ts), "line": event.line[:_LONGEST], "attempt": event.attempt})
        elif event is None:
            yield _line({"heartbeat": True})
        else:
            yield _line({"final": True, "status": event})


def _line(document: dict[str, object]) -> str:
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")) + "\n"
