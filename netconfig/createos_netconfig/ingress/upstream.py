"""Where requests go: a connection to a service of a guest, and what the guest's side of the engine says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass

import h11

from createos_netconfig.ingress.hostnames import Place

CHUNK_BYTES = 65_536
CONNECT_S = 10.0
# A side that takes nothing for so long is gone.
STALLED_S = 300.0
_MOST_HEAD_BYTES = 131_072


@dataclass(frozen=True)
class Target:
    """An address behind a name. `open` tells whether it may still be used: it is asked now and again."""

    address: str
    port: int
    open: Callable[[], bool]


class Refused(Exception):
    """A place that does not answer. `words` say why and what to do; they are for people of this machine only."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


Lease = Callable[[Place], AbstractAsyncContextManager[Target]]
"""Gives the target of a place for the time of one request; raises Refused."""


class Unanswered(Exception):
    """The guest's program does not listen, hung up, or does not speak HTTP/1.1."""

    def __init__(self, reason: str, hint: str = "see what it printed") -> None:
        super().__init__(f"{reason}; {hint}")


class Upstream:
    """One connection to a target, used for one request after the other."""

    def __init__(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.target = target
        self.reader, self.writer = reader, writer
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD_BYTES)
        self.fresh = True

    @classmethod
    async def open(cls, target: Target) -> Upstream:
        """Connect; Unanswered when nobody listens there."""
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(target.address, target.port, limit=CHUNK_BYTES)
        except OSError as exc:
            raise Unanswered(
                f"nothing listens on port {target.port} of the sandbox's network interface",
                "a program must listen on 0.0.0.0, not only on 127.0.0.1",
            ) from exc
        return cls(target, reader, writer)

    def again(self, target: Target) -> bool:
        """Tell whether a next request can use this connection, and make it ready for that."""
        same = (self.target.address, self.target.port) == (target.address, target.port)
        idle = self.http.our_state is h11.DONE and self.http.their_state is h11.DONE
        if not (same and idle) or self.reader.at_eof() or self.writer.is_closing():
            return False
        self.target, self.fresh = target, False
        self.http.start_next_cycle()
        return True

    async def send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        """Send a piece of a request, waiting while the guest takes nothing."""
        try:
            self.writer.write(self.http.send(event) or b"")
            async with asyncio.timeout(STALLED_S):
                await self.writer.drain()
        except (OSError, h11.LocalProtocolError) as exc:
            raise Unanswered("the program hung up") from exc

    async def next(self) -> h11.Event | type[h11.PAUSED]:
        """Return the next piece of the answer; Unanswered when what comes is none."""
        while True:
            try:
                event = self.http.next_event()
                if event is not h11.NEED_DATA:
                    return event  # type: ignore[return-value]
                self.http.receive_data(await self.reader.read(CHUNK_BYTES))
            except OSError as exc:
                raise Unanswered("the program hung up") from exc
            except h11.RemoteProtocolError as exc:
                raise Unanswered("the program did not answer in HTTP/1.1") from exc

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()
