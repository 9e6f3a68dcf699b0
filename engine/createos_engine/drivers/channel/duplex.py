"""A stream that carries a connection of the guest, as the host's end of that connection."""

from __future__ import annotations

import asyncio

from createos_engine.drivers.channel.errors import AgentError, ChannelLost
from createos_engine.drivers.channel.stream import Stream
from createos_engine.duplex import Duplex

_OUTPUT = 1
_CLOSE_S = 5.0


class StreamDuplex:
    """The Duplex over a stream like that of `dial` or `accept` (PROTOCOL.md)."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ended = False

    async def read(self) -> bytes:
        """Return what has come; empty at end-of-file. Raises ConnectionError when the connection broke."""
        if self._ended:
            return b""
        try:
            async for piece in self._stream:
                if piece.sub == _OUTPUT:
                    self._ended = not piece.data
                    return piece.data
            await self._stream.result()
        except (AgentError, ChannelLost) as exc:
            raise ConnectionResetError(exc.reason) from exc
        return b""

    async def write(self, data: bytes) -> None:
        """Send *data* as far as the guest grants. Raises ConnectionError when the connection is over."""
        try:
            await self._stream.send(data)
        except ChannelLost as exc:
            raise ConnectionResetError(exc.reason) from exc
        if self._stream.over:
            raise ConnectionResetError("the guest has ended the connection")

    def write_eof(self) -> None:
        """Tell the guest that nothing more comes."""
        self._stream.send_eof()

    async def gone(self) -> None:
        """Return when the connection is over."""
        await self._stream.wait()

    async def close(self) -> None:
        """Say that nothing more comes and wait for the guest's end; cut it off after some seconds."""
        self._stream.send_eof()
        self._stream.discard()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._stream.wait()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Cut the connection off."""
        self._stream.cancel()


def _is_duplex(duplex: StreamDuplex) -> Duplex:
    """Hold the class to the protocol when types are checked."""
    return duplex
