"""Files and ports of sandboxes in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

from createos_engine.duplex import Duplex
from createos_engine.errors import EngineError, GuestFailed, Invalid, NotFound, NotListening, TooLarge
from createos_engine.lifecycle import require_running
from createos_engine.services.files import check_path
from createos_engine.words import Sandbox, User

from tests.fakes.services import FakeSandboxes

LIMIT_BYTES = 32 * 2**20
_PIECE_BYTES = 65_536


class FakeDownload:
    """A file on its way out; `cut` ends it after so many bytes."""

    def __init__(self, data: bytes, cut: int | None) -> None:
        self.size: int | None = len(data)
        self.closed = False
        self._data, self._cut = data, cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        whole = self._data[: self._cut]
        for begin in range(0, len(whole), _PIECE_BYTES):
            yield whole[begin : begin + _PIECE_BYTES]
        if self._cut is not None:
            raise GuestFailed("the machine has ended")

    async def close(self) -> None:
        self.closed = True


class FakeFiles:
    """Files by sandbox and path; a path that ends with / is a directory. `refuse` is raised by the next write."""

    def __init__(self, sandboxes: FakeSandboxes) -> None:
        self._sandboxes = sandboxes
        self.contents: dict[tuple[str, str], bytes] = {}
        self.sizes: list[int | None] = []
        self.downloads: list[FakeDownload] = []
        self.refuse: EngineError | None = None
        self.cut: int | None = None

    async def write(self, user: User, ref: str, path: str, size: int | None, source: AsyncIterator[bytes]) -> int:
        row = await self._running(user, ref, path)
        self.sizes.append(size)
        if size is not None and size > LIMIT_BYTES:
            raise TooLarge(f"a file may have {LIMIT_BYTES} bytes")
        if self.refuse:
            raise self.refuse
        data = bytearray()
        async for piece in source:
            data += piece
            if len(data) > LIMIT_BYTES:
                raise TooLarge(f"a file may have {LIMIT_BYTES} bytes")
        self.contents[row.id, path] = bytes(data)
        return len(data)

    async def read(self, user: User, ref: str, path: str) -> FakeDownload:
        row = await self._running(user, ref, path)
        if path.endswith("/"):
            raise Invalid(f"{path} is a directory")
        if (row.id, path) not in self.contents:
            raise NotFound(f"{path}: no such file or directory")
        self.downloads.append(FakeDownload(self.contents[row.id, path], self.cut))
        return self.downloads[-1]

    async def _running(self, user: User, ref: str, path: str) -> Sandbox:
        row = await self._sandboxes.get(user, ref)
        require_running(row.state)
        check_path(path)
        return row


class FakeTunnel:
    """Says back what it hears."""

    async def carry(self, duplex: Duplex) -> None:
        try:
            while data := await duplex.read():
                await duplex.write(data)
            duplex.write_eof()
            await duplex.close()
        except ConnectionError:
            duplex.abort()


class FakeTunnels:
    """Only port 7 is listened on."""

    def __init__(self, sandboxes: FakeSandboxes) -> None:
        self._sandboxes = sandboxes

    async def dial(self, user: User, ref: str, port: int) -> FakeTunnel:
        require_running((await self._sandboxes.get(user, ref)).state)
        if not 1 <= port <= 65_535:
            raise Invalid("port must be 1 to 65535", field="port")
        if port != 7:
            raise NotListening(f"nothing in the sandbox takes connections on port {port} (refused)")
        return FakeTunnel()
