"""Files go in and out as raw bytes, and what is wrong is said as soon as it is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from createos_engine.api.server import ApiServer
from createos_engine.errors import NoSpace
from createos_engine.words import Sandbox, State
from fastapi import FastAPI

from tests.fakes.files import LIMIT_BYTES
from tests.fakes.rows import sandbox
from tests.fakes.services import KEY, FakeWorld

DATA = bytes(range(256)) * 1000


@pytest.fixture
def box(world: FakeWorld) -> Sandbox:
    return world.sandboxes.add(sandbox(state=State.RUNNING))


@pytest.fixture
async def server(app: FastAPI, tmp_path: Path) -> AsyncIterator[ApiServer]:
    running = ApiServer(app, unix_socket=tmp_path / "api.sock", socket_group="", host="127.0.0.1", port=0)
    await running.start()
    yield running
    await running.stop(0)


def url(box: Sandbox, path: str) -> str:
    return f"/v1/sandboxes/{box.id}/files?path={path}"


async def pieces(size: int) -> AsyncIterator[bytes]:
    for begin in range(0, size, 65_536):
        yield bytes(min(65_536, size - begin))


async def test_a_file_comes_back_as_it_was(client: httpx.AsyncClient, box: Sandbox) -> None:
    pushed = await client.put(url(box, "/tmp/a%20b"), content=DATA)
    pulled = await client.get(url(box, "/tmp/a b"))

    assert pushed.json() == {"status": "success", "data": {"bytes": len(DATA), "path": "/tmp/a b"}}
    assert pulled.content == DATA
    assert (pulled.headers["content-length"], pulled.headers["content-type"]) == (
        str(len(DATA)),
        "application/octet-stream",
    )


async def test_a_file_without_a_length_is_taken(client: httpx.AsyncClient, world: FakeWorld, box: Sandbox) -> None:
    pushed = await client.put(url(box, "/x"), content=pieces(200_000))

    assert pushed.json()["data"]["bytes"] == 200_000
    assert world.files.sizes == [None]


async def test_an_empty_file_is_a_file(client: httpx.AsyncClient, box: Sandbox) -> None:
    assert (await client.put(url(box, "/x"), content=b"")).status_code == 200
    pulled = await client.get(url(box, "/x"))
    assert (pulled.content, pulled.headers["content-length"]) == (b"", "0")


async def test_a_file_may_be_larger_than_every_other_body(client: httpx.AsyncClient, box: Sandbox) -> None:
    pushed = await client.put(url(box, "/x"), content=pieces(20 * 2**20))

    assert pushed.status_code == 200


async def test_a_length_above_the_limit_is_refused_before_the_body(server: ApiServer, box: Sandbox) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    head = f"PUT {url(box, '/x')} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\nContent-Length: {LIMIT_BYTES + 1}"

    writer.write(f"{head}\r\n\r\n".encode())
    async with asyncio.timeout(60):
        answer = await reader.readuntil(b"\r\n")
    writer.close()

    assert b" 413 " in answer


async def test_chunks_above_the_limit_are_refused_when_they_pass_it(client: httpx.AsyncClient, box: Sandbox) -> None:
    pushed = await client.put(url(box, "/x"), content=pieces(LIMIT_BYTES + 1))

    assert pushed.status_code == 413


async def test_a_full_disk_is_said_with_the_way_out(client: httpx.AsyncClient, world: FakeWorld, box: Sandbox) -> None:
    world.files.refuse = NoSpace("the disk has 3 bytes left", hint="free some space")

    refused = await client.put(url(box, "/x"), content=DATA)

    assert refused.status_code == 507
    assert refused.json()["data"] == "the disk has 3 bytes left; free some space"


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
@pytest.mark.parametrize(
    ("path", "status"), [("", 400), ("relative", 400), ("/a%00b", 400), ("/a%ffb", 400), ("/" + "x" * 5000, 400)]
)
async def test_what_is_no_absolute_path_is_refused(
    client: httpx.AsyncClient, box: Sandbox, method: str, path: str, status: int
) -> None:
    refused = await client.request(method, url(box, path))

    assert refused.status_code == status
    if method != "HEAD":
        assert list(refused.json()["data"]) == ["path"]


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient, box: Sandbox) -> None:
    assert (await client.get(url(box, "/absent"))).status_code == 404
    assert (await client.head(url(box, "/absent"))).status_code == 404
    assert (await client.get("/v1/sandboxes/sb-no/files?path=/x")).status_code == 404


async def test_the_size_can_be_asked_for_alone(client: httpx.AsyncClient, world: FakeWorld, box: Sandbox) -> None:
    world.files.contents[box.id, "/x"] = DATA

    found = await client.head(url(box, "/x"))

    assert (found.status_code, found.headers["content-length"], found.content) == (200, str(len(DATA)), b"")
    assert world.files.downloads[0].closed


async def test_a_download_that_is_cut_is_noticed_by_its_client(
    server: ApiServer, world: FakeWorld, box: Sandbox
) -> None:
    world.files.contents[box.id, "/x"] = DATA
    world.files.cut = 100_000

    async with httpx.AsyncClient(base_url=server.url, headers={"x-api-key": KEY}) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url(box, "/x"))

    assert world.files.downloads[0].closed


async def test_an_upload_whose_client_leaves_changes_nothing(server: ApiServer, world: FakeWorld, box: Sandbox) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    head = f"PUT {url(box, '/x')} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\nContent-Length: 100000\r\n\r\n"

    writer.write(head.encode() + b"half")
    async with asyncio.timeout(60):
        while not world.files.sizes:
            await asyncio.sleep(0.01)
    writer.close()
    await asyncio.sleep(0.1)

    assert world.files.contents == {}


async def test_a_paused_sandbox_has_no_files(client: httpx.AsyncClient, world: FakeWorld) -> None:
    row = world.sandboxes.add(sandbox(state=State.PAUSED))

    refused = await client.get(url(row, "/x"))

    assert (refused.status_code, refused.json()["data"]) == (409, "sandbox is paused")
