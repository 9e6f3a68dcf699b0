"""A tunnel is a connection to a port of the guest, or an ordinary refusal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from createos_engine.api.server import ApiServer
from createos_engine.words import State
from fastapi import FastAPI

from tests.fakes.rows import sandbox
from tests.fakes.services import KEY, FakeWorld
from tests.fakes.taker import answer_of


@pytest.fixture
async def server(app: FastAPI, tmp_path: Path) -> AsyncIterator[ApiServer]:
    running = ApiServer(app, unix_socket=tmp_path / "api.sock", socket_group="", host="127.0.0.1", port=0)
    await running.start()
    yield running
    await running.stop(0)


async def ask(
    server: ApiServer, path: str, key: str = KEY, upgrade: str = "Connection: Upgrade\r\nUpgrade: tcp-tunnel\r\n"
) -> tuple[int, asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the status of a tunnel and its connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    writer.write(
        f"POST /v1/sandboxes/{path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\n{upgrade}"
        "Content-Length: 0\r\n\r\n".encode()
    )
    status, _ = await answer_of(reader)
    return status, reader, writer


async def test_bytes_and_ends_pass(server: ApiServer, world: FakeWorld) -> None:
    row = world.sandboxes.add(sandbox(state=State.RUNNING))

    status, reader, writer = await ask(server, f"{row.id}/tunnel/7")
    writer.write(b"ping" * 100_000)
    writer.write_eof()

    assert (status, await reader.read(-1)) == (101, b"ping" * 100_000)
    writer.close()


@pytest.mark.parametrize(
    ("state", "path", "status", "word"),
    [
        (State.RUNNING, "tunnel/80", 502, "nothing in the sandbox takes connections on port 80"),
        (State.RUNNING, "tunnel/0", 400, "port must be 1 to 65535"),
        (State.RUNNING, "tunnel/65536", 400, "port must be 1 to 65535"),
        (State.RUNNING, "tunnel/http", 400, "port"),
        (State.PAUSED, "tunnel/7", 409, "sandbox is paused"),
    ],
)
async def test_a_refusal_comes_before_the_connection_changes(
    server: ApiServer, world: FakeWorld, state: State, path: str, status: int, word: str
) -> None:
    row = world.sandboxes.add(sandbox(state=state))

    got, reader, writer = await ask(server, f"{row.id}/{path}")
    body = json.loads(await reader.read(-1))
    writer.close()

    assert got == status
    assert word in json.dumps(body)


async def test_who_may_not_is_told_so(server: ApiServer, world: FakeWorld) -> None:
    row = world.sandboxes.add(sandbox(state=State.RUNNING))

    wrong, _, first = await ask(server, f"{row.id}/tunnel/7", key="wrong")
    foreign, _, second = await ask(server, f"{row.id}/tunnel/7", key="skp_bob")
    plain, _, third = await ask(server, f"{row.id}/tunnel/7", upgrade="")
    for writer in (first, second, third):
        writer.close()

    assert (wrong, foreign, plain) == (401, 404, 400)
