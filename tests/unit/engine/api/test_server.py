"""One server on a unix socket and on loopback TCP."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from createos_engine.api.server import ApiServer
from createos_engine.errors import HostFailed
from createos_engine.words import Output, State
from fastapi import FastAPI

from tests.fakes.rows import sandbox
from tests.fakes.services import KEY, FakeWorld


def server_of(app: FastAPI, path: Path, port: int = 0) -> ApiServer:
    """Return a server that is not started."""
    return ApiServer(app, unix_socket=path, socket_group="no-such-group", host="127.0.0.1", port=port)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


@pytest.fixture
async def server(app: FastAPI, path: Path) -> AsyncIterator[ApiServer]:
    running = server_of(app, path)
    await running.start()
    yield running
    await running.stop(0)


def local(path: Path) -> httpx.AsyncClient:
    """Return a client of the unix socket."""
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://createosd")


async def test_the_kernel_says_who_is_on_the_unix_socket(server: ApiServer, path: Path) -> None:
    async with local(path) as client:
        first, second = await client.get("/v1/whoami"), await client.get("/v1/whoami")

    assert first.json()["data"]["user_id"] == f"usr-local-{os.getuid()}"
    assert second.json() == first.json()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


async def test_tcp_needs_a_key(server: ApiServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        without, with_key = await client.get("/v1/whoami"), await client.get("/v1/whoami", headers={"x-api-key": KEY})

    assert (without.status_code, with_key.status_code) == (401, 200)
    assert "server" not in with_key.headers


async def test_the_socket_of_a_dead_daemon_is_replaced(app: FastAPI, path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()

    server = server_of(app, path)
    await server.start()

    async with local(path) as client:
        assert (await client.get("/healthz")).status_code == 200
    await server.stop(0)
    assert not path.exists()


async def test_the_socket_of_a_living_daemon_is_left_alone(server: ApiServer, app: FastAPI, path: Path) -> None:
    with pytest.raises(HostFailed, match="another daemon"):
        await server_of(app, path).start()

    async with local(path) as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_a_file_in_the_way_is_left_alone(app: FastAPI, path: Path) -> None:
    path.write_text("precious")

    with pytest.raises(HostFailed, match="in the way"):
        await server_of(app, path).start()

    assert path.read_text() == "precious"


async def test_a_port_that_is_taken_is_refused_with_the_setting_to_change(
    server: ApiServer, app: FastAPI, tmp_path: Path
) -> None:
    port = int(server.url.rpartition(":")[2])

    with pytest.raises(HostFailed) as failed:
        await server_of(app, tmp_path / "other.sock", port).start()

    assert "listen_port" in failed.value.hint
    assert not (tmp_path / "other.sock").exists()


async def test_a_socket_path_that_is_too_long_is_refused(app: FastAPI, tmp_path: Path) -> None:
    with pytest.raises(HostFailed, match="AF_UNIX path too long"):
        await server_of(app, tmp_path / ("x" * 120)).start()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_program_ends_when_its_client_hangs_up(server: ApiServer, world: FakeWorld, stream: bool) -> None:
    row = world.sandboxes.add(sandbox(state=State.RUNNING))
    world.execs.script = [Output(1, b"x"), 3600.0]
    headers = {"x-api-key": KEY}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
        call = asyncio.create_task(client.post(f"/v1/sandboxes/{row.id}/exec", json={"cmd": "x", "stream": stream}))
        await world.execs.begun.wait()

        call.cancel()

        async with asyncio.timeout(60):
            await world.execs.ended.wait()


async def test_a_client_that_stops_reading_and_leaves_ends_its_program(server: ApiServer, world: FakeWorld) -> None:
    row = world.sandboxes.add(sandbox(state=State.RUNNING))
    world.execs.script = [Output(1, b"x" * 65_536)] * 1000
    headers = {"x-api-key": KEY}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
        async with client.stream("POST", f"/v1/sandboxes/{row.id}/exec", json={"cmd": "x", "stream": True}):
            await asyncio.sleep(0.2)
            assert not world.execs.ended.is_set()

        async with asyncio.timeout(60):
            await world.execs.ended.wait()


async def test_stopping_lets_a_request_finish(app: FastAPI, world: FakeWorld, path: Path) -> None:
    server = server_of(app, path)
    await server.start()
    row = world.sandboxes.add(sandbox(state=State.RUNNING))
    world.execs.script = [0.3, Output(1, b"done")]
    async with httpx.AsyncClient(base_url=server.url, headers={"x-api-key": KEY}) as client:
        call = asyncio.create_task(client.post(f"/v1/sandboxes/{row.id}/exec", json={"cmd": "x"}))
        await world.execs.begun.wait()

        await server.stop(5)

        assert (await call).json()["data"]["result"]["stdout"] == "done"


async def test_stopping_twice_or_unstarted_is_nothing(app: FastAPI, path: Path) -> None:
    server = server_of(app, path)
    await server.stop(0)
    await server.start()
    await server.stop(0)

    await server.stop(0)


async def test_small_answers_are_not_held_back_on_tcp(server: ApiServer) -> None:
    headers = {"x-api-key": KEY}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
        took = []
        for _ in range(20):
            begun = time.perf_counter()
            await client.get("/v1/whoami")
            took.append(time.perf_counter() - begun)

    # A delayed acknowledgement of the kernel costs each of them 40 ms.
    assert min(took) < 0.03
