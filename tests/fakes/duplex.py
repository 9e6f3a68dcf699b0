"""A client whose connection was taken over, in memory."""

from __future__ import annotations

import asyncio


class FakeDuplex:
    """A client in memory: `sent` is what it got; feed `coming` with bytes, empty for end-of-file."""

    def __init__(self) -> None:
        self.coming: asyncio.Queue[bytes] = asyncio.Queue()
        self.sent = b""
        self.eof = asyncio.Event()
        self.lost = asyncio.Event()
        self.end = ""

    async def read(self) -> bytes:
        return await self.coming.get()

    async def write(self, data: bytes) -> None:
        if self.lost.is_set():
            raise ConnectionResetError("gone")
        self.sent += data

    def write_eof(self) -> None:
        self.eof.set()

    async def gone(self) -> None:
        await self.lost.wait()

    async def close(self) -> None:
        self.end = self.end or "closed"

    def abort(self) -> None:
        self.end = self.end or "aborted"
