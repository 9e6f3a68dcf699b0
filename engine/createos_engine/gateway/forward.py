"""A forwarded connection (`ssh -L`, `ssh -W`): a channel of the client and a TCP connection made inside the guest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import asyncssh

from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.stream import Stream
from createos_engine.errors import EngineError, GuestFailed
from createos_engine.gateway.pipe import Pipe
from createos_engine.gateway.ports import Entrance
from createos_engine.services.relay import relay

# The agent itself gives up after 10 s.
_DEADLINE_S = 15.0
_HEAD = 2
_HERE = frozenset(("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", ""))


class Forward(asyncssh.SSHTCPSession[bytes]):
    """The client's end of a forwarded connection."""

    def __init__(self, pipe: Pipe, stream: Stream, using: ExitStack, start: Callable[[Any], None]) -> None:
        """`using` is closed at the end; `start` runs a coroutine for as long as the gateway does."""
        self._pipe = pipe
        self._stream = stream
        self._using = using
        self._start = start

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        """The client knows that it is connected."""
        self._pipe.connected(chan)

    def session_started(self) -> None:
        """Begin to carry bytes."""
        self._start(self._carry())

    def data_received(self, data: bytes, _datatype: asyncssh.DataType) -> None:
        """Keep input."""
        self._pipe.received(data)

    def eof_received(self) -> bool:
        """Pass the end on; the other direction goes on."""
        self._pipe.ended()
        return True

    def pause_writing(self) -> None:
        """The window is used up."""
        self._pipe.paused()

    def resume_writing(self) -> None:
        """There is window again."""
        self._pipe.resumed()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The channel is closed."""
        self._pipe.lost()

    async def _carry(self) -> None:
        with self._using:
            await relay(self._pipe, self._stream)


async def dial(
    entrance: Entrance, pipe: Pipe, address: tuple[str, int], start: Callable[[Any], None], here: Callable[[], bool]
) -> Forward:
    """Connect inside the guest and return the session, or raise ChannelOpenError with the reason.

    `here` tells whether the client still is: nobody else would notice that the connection has nobody any more.
    """
    using = ExitStack()
    try:
        guest = using.enter_context(entrance())
        stream = await _dialled(guest.agent.open, *address)
        using.callback(stream.cancel)
        if not here():
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "the client has gone away")
    except BaseException as exc:
        using.close()
        if isinstance(exc, EngineError):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, exc.sentence) from exc
        raise
    return Forward(pipe, stream, using, start)


async def _dialled(open_stream: Callable[..., Any], host: str, port: int) -> Stream:
    """Return a connected stream. Names are looked up by the guest, and its egress rules hold."""
    where = {"port": port} if host in _HERE else {"port": port, "address": host}
    stream: Stream = await open_stream("dial", **where)
    try:
        async with asyncio.timeout(_DEADLINE_S):
            async for piece in stream:
                if piece.sub == _HEAD:
                    return stream
            await stream.result()
        raise GuestFailed("the guest agent ended a connection before it was one")
    except BaseException as exc:
        stream.cancel()
        if isinstance(exc, AgentError):
            raise GuestFailed(f"cannot connect to port {port} inside the sandbox: {exc.message}") from exc
        if isinstance(exc, TimeoutError):
            raise GuestFailed(f"port {port} inside the sandbox did not answer within {_DEADLINE_S:g} s") from exc
        raise
