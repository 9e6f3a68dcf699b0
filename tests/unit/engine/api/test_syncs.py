"""Synchronisation over the API: checks first, then raw bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
from createos_engine.api.server import ApiServer
from createos_engine.words import State
from fastapi import FastAPI

from tests.fakes.rows import sandbox
from tests.fakes.services import KEY, FakeWorld
from tests.fakes.taker import answer_of

OFFER = "Connection: Upgrade\r\nUpgrade: tcp-tunnel\r\nContent-Length: 0\r\n\r\n"


async def test_the_connection_becomes_the_guests_after_101(app: FastAPI, world: FakeWorld, tmp_path: Path) -> None:
    path = f"/v1/sandboxes/{world.sandboxes.add(sandbox(state=State.RUNNING)).id}/sync"
    server = ApiServer(app, unix_socket=tmp_path / "s", socket_group="", host="127.0.0.1", port=0)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))

    writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n{OFFER}hello".encode())
    status, _ = await answer_of(reader)
    said = await reader.readexactly(5)

    writer.close()
    await server.stop(0)
    assert (status, said) == (101, b"hello")


async def test_a_sandbox_that_does_not_run_is_a_conflict(app: FastAPI, world: FakeWorld, tmp_path: Path) -> None:
    path = f"/v1/sandboxes/{world.sandboxes.add(sandbox(state=State.PAUSED)).id}/sync"
    server = ApiServer(app, unix_socket=tmp_path / "s", socket_group="", host="127.0.0.1", port=0)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))

    writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n{OFFER}".encode())
    status, _ = await answer_of(reader)

    writer.close()
    await server.stop(0)
    assert status == 409


async def test_plain_http_is_told_what_to_send(client: httpx.AsyncClient, world: FakeWorld) -> None:
    path = f"/v1/sandboxes/{world.sandboxes.add(sandbox(state=State.RUNNING)).id}/sync"

    answer = await client.post(path)

    assert answer.status_code == 400
    assert "Upgrade: tcp-tunnel" in answer.text
