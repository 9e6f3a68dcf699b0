"""Whole files of a guest, in and out (PROTOCOL.md, file_read and file_write)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from typing import TypeVar

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.answers import integer
from createos_engine.drivers.channel.frames import MAX_PAYLOAD_BYTES
from createos_engine.drivers.channel.head import OUTPUT, open_with_head
from createos_engine.drivers.channel.stream import Stream
from createos_engine.errors import GuestFailed

T = TypeVar("T")

# A guest that neither takes nor gives a byte for so long will not do it later either.
STALL_S = 60.0
# The whole file is made durable between its last byte and the answer; disks may be slow.
_COMMIT_S = 300.0
# How long a cancelled write may take to be undone.
_CANCEL_WAIT_S = 2.0
# What is sent of a file at once: whole pages, so that the guest can write them as they lie (PROTOCOL.md, file_write).
_PIECE_BYTES = MAX_PAYLOAD_BYTES // 4096 * 4096


class FileReader:
    """A file that is being read. `size` is None when the guest does not know it; iterate, then `close()`."""

    def __init__(self, stream: Stream, size: int | None) -> None:
        self.size = size
        self._stream = stream

    @classmethod
    async def open(cls, agent: AgentClient, path: str) -> FileReader:
        """Open a file. Raises AgentError with the guest's reason, GuestFailed."""
        stream, said = await open_with_head(agent, "file_read", deadline_s=STALL_S, path=path)
        stream.widen()
        try:
            return cls(stream, integer(said, "size") if "size" in said else None)
        except GuestFailed:
            stream.cancel()
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the content; exactly `size` bytes when there is one, else raise GuestFailed or AgentError."""
        left = self.size
        while (piece := await _moving(anext(self._stream, None), "sent")) is not None:
            if piece.sub != OUTPUT or not piece.data:
                continue
            if left is not None and len(piece.data) > left:
                raise GuestFailed("the guest agent sent more of the file than it had announced")
            left = None if left is None else left - len(piece.data)
            yield piece.data
        await self._stream.result()
        if left:
            raise GuestFailed(f"the guest agent left out the last {left} bytes of the file")

    def close(self) -> None:
        """Stop reading."""
        self._stream.cancel()


async def write_file(agent: AgentClient, path: str, size: int | None, source: AsyncIterator[bytes]) -> int:
    """Write a file from *source* and return its size. Until the end of the source the old file is in place.

    Raises AgentError with the guest's reason, GuestFailed, and whatever the source raises; nothing is changed then.
    """
    announced = {} if size is None else {"size": size}
    stream = await agent.open("file_write", path=path, **announced)
    try:
        async for data in _pieces(source):
            await _moving(stream.send(data), "taken")
            if stream.over:
                break
        else:
            stream.send_eof()
        return integer(await _in_time(stream), "bytes")
    finally:
        await _end(stream)


async def _pieces(source: AsyncIterator[bytes]) -> AsyncIterator[memoryview]:
    """Cut *source* anew, so that frames are full: each costs the guest the same, however little is in it."""
    held = bytearray()
    async for data in source:
        view = memoryview(data)
        if held:
            missing = _PIECE_BYTES - len(held)
            held += view[:missing]
            view = view[missing:]
            if len(held) < _PIECE_BYTES:
                continue
            yield memoryview(held)
            held = bytearray()
        whole = len(view) - len(view) % _PIECE_BYTES
        for at in range(0, whole, _PIECE_BYTES):
            yield view[at : at + _PIECE_BYTES]
        held += view[whole:]
    if held:
        yield memoryview(held)


async def _moving(work: Awaitable[T], done: str) -> T:
    try:
        async with asyncio.timeout(STALL_S):
            return await work
    except TimeoutError as exc:
        raise GuestFailed(f"the guest has not {done} a byte for {STALL_S:g} s") from exc


async def _in_time(stream: Stream) -> dict[str, object]:
    stream.discard()
    try:
        async with asyncio.timeout(_COMMIT_S):
            return await stream.result()
    except TimeoutError as exc:
        raise GuestFailed(f"the guest has not finished the file within {_COMMIT_S:g} s") from exc


async def _end(stream: Stream) -> None:
    """See to it that nothing is being written any more."""
    stream.cancel()
    with suppress(TimeoutError):
        async with asyncio.timeout(_CANCEL_WAIT_S):
            await stream.wait()
