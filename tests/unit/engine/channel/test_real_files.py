"""Files and connections through the Go agent on a unix socket of this machine, driven by the engine's services."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.errors import EngineError, Invalid, NotFound, NotListening, TooLarge
from createos_engine.services.files import Files
from createos_engine.services.guests import Guest, Guests
from createos_engine.services.tunnels import Tunnels
from createos_engine.words import User

from tests.fakes.duplex import FakeDuplex
from tests.fakes.rows import NOON, sandbox

ME = User("usr-1", "me", NOON)
LIMIT = 8 * 2**20


class OneGuest(Guests):
    """Every sandbox is the agent of this machine."""

    def __init__(self, agent: AgentClient) -> None:
        super().__init__(cast(Any, SimpleNamespace()), cast(Any, SimpleNamespace()))
        self._guest = Guest(sandbox(), agent)

    def running(self, user: User, ref: str) -> Guest:
        return self._guest


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory without the agent's socket."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def guests(real: AgentClient) -> OneGuest:
    return OneGuest(real)


@pytest.fixture
def files(guests: OneGuest) -> Files:
    return Files(guests, limit_bytes=LIMIT)


async def pieces(data: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]


async def content(files: Files, path: Path) -> bytes:
    download = await files.read(ME, "x", str(path))
    data = b"".join([piece async for piece in download])
    await download.close()
    assert download.size == len(data)
    return data


@pytest.mark.parametrize("size", [0, 1, 262_144, 524_288, 5_000_017])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_comes_back_as_it_was(files: Files, place: Path, size: int, announced: bool) -> None:
    data, path = os.urandom(size), place / "deep" / "er" / "file"

    written = await files.write(ME, "x", str(path), size if announced else None, pieces(data))

    assert written == size
    assert await content(files, path) == data
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("piece", [1, 61_440, 65_523, 65_524, 65_536, 200_000])
async def test_a_file_is_the_same_however_its_content_was_cut(files: Files, place: Path, piece: int) -> None:
    data = os.urandom(300_000 if piece > 1 else 5_000)

    await files.write(ME, "x", str(place / "f"), None, pieces(data, piece))

    assert await content(files, place / "f") == data


async def test_an_upload_above_the_limit_leaves_nothing(files: Files, place: Path) -> None:
    for announced in (LIMIT + 1, None):
        with pytest.raises(TooLarge, match="8 MiB"):
            await files.write(ME, "x", str(place / "f"), announced, pieces(bytes(LIMIT + 1)))

    assert list(place.iterdir()) == []


async def test_a_source_that_fails_leaves_the_old_file(files: Files, place: Path, guests: OneGuest) -> None:
    path = place / "f"
    path.write_text("old")

    async def breaks() -> AsyncIterator[bytes]:
        yield bytes(100_000)
        raise ConnectionResetError("client")

    with pytest.raises(ConnectionResetError):
        await files.write(ME, "x", str(path), None, breaks())

    assert path.read_text() == "old"
    assert [entry.name for entry in place.iterdir()] == ["f"]
    assert guests.idle_s("sb-x") > 0


async def test_refusals_are_sentences(files: Files, place: Path) -> None:
    os.mkfifo(place / "pipe")
    for path, kind, words in (
        (place / "absent", NotFound, "no such file"),
        (place, Invalid, "is a directory"),
        (place / "pipe", Invalid, "a named pipe"),
        (Path("/dev/zero"), Invalid, "a device"),
    ):
        with pytest.raises(kind, match=words):
            await files.read(ME, "x", str(path))
    with pytest.raises(Invalid, match="belongs to the kernel"):
        await files.write(ME, "x", "/proc/sys/kernel/hostname", 1, pieces(b"x"))
    with pytest.raises(EngineError, match="the disk has"):
        await Files(OneGuest(files._guests.running(ME, "x").agent), limit_bytes=2**62).write(
            ME, "x", str(place / "f"), 2**61, pieces(b"x")
        )


async def test_a_file_that_shrinks_while_it_is_read_is_no_whole_file(files: Files, place: Path) -> None:
    path = place / "f"
    path.write_bytes(bytes(4_000_000))
    download = await files.read(ME, "x", str(path))
    os.truncate(path, 100)

    with pytest.raises(EngineError, match="became shorter"):
        async for _ in download:
            pass


async def test_files_of_the_kernel_have_a_size(files: Files) -> None:
    assert b"Pid:" in await content(files, Path("/proc/self/status"))


async def test_a_connection_carries_both_ways(guests: OneGuest) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.read(-1)
        writer.write(heard.upper())
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    duplex = FakeDuplex()
    for piece in (b"begin", b"go" * 100_000, b""):
        duplex.coming.put_nowait(piece)

    tunnel = await Tunnels(guests).dial(ME, "x", port)
    await tunnel.carry(duplex)
    server.close()

    assert duplex.sent == b"BEGIN" + b"GO" * 100_000
    assert (duplex.eof.is_set(), duplex.end) == (True, "closed")


async def test_a_port_nobody_listens_on_is_refused(guests: OneGuest) -> None:
    with pytest.raises(NotListening, match="port 1 "):
        await Tunnels(guests).dial(ME, "x", 1)
