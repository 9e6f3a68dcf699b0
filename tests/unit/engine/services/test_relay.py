"""A taken-over connection and a stream to a guest, both ways, however either of them ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.services.relay import relay

from tests.fakes.duplex import FakeDuplex
from tests.fakes.guest import EOF, FakeGuest, GuestStream, Refused


@pytest.fixture
async def guest(tmp_path: Path) -> AsyncIterator[FakeGuest]:
    async with FakeGuest(tmp_path / "channel") as listening:
        yield listening


@pytest.fixture
async def agent(guest: FakeGuest) -> AsyncIterator[AgentClient]:
    connected = await AgentClient.connect(guest.path, deadline_s=60)
    yield connected
    await connected.close()
    assert guest.complaints == []


async def echo(stream: GuestStream) -> dict[str, object]:
    while data := await stream.read():
        await stream.write(data)
    await stream.raw(EOF, flags=1)
    return {}


async def hang(stream: GuestStream) -> dict[str, object]:
    await stream.cancelled.wait()
    return {}


async def test_bytes_and_ends_pass_both_ways(guest: FakeGuest, agent: AgentClient) -> None:
    guest.scripts["echo"] = echo
    duplex = FakeDuplex()
    data = bytes(range(256)) * 4096
    for piece in (data, b"", b"never read"):
        duplex.coming.put_nowait(piece)

    await relay(duplex, await agent.open("echo"))

    assert duplex.sent == data
    assert duplex.eof.is_set()
    assert duplex.end == "closed"


async def test_a_guest_may_end_its_half_first(guest: FakeGuest, agent: AgentClient) -> None:
    heard = b""

    async def says_little(stream: GuestStream) -> dict[str, object]:
        nonlocal heard
        await stream.write(b"bye")
        await stream.raw(EOF, flags=1)
        while data := await stream.read():
            heard += data
        return {}

    guest.scripts["x"] = says_little
    duplex = FakeDuplex()
    running = asyncio.create_task(relay(duplex, await agent.open("x")))
    await duplex.eof.wait()
    duplex.coming.put_nowait(b"still here")
    duplex.coming.put_nowait(b"")

    await running

    assert (duplex.sent, heard, duplex.end) == (b"bye", b"still here", "closed")


async def test_a_guest_that_ends_everything_ends_the_client(guest: FakeGuest, agent: AgentClient) -> None:
    async def brief(stream: GuestStream) -> dict[str, object]:
        await stream.write(b"x")
        return {}

    guest.scripts["x"] = brief
    duplex = FakeDuplex()

    await relay(duplex, await agent.open("x"))

    assert (duplex.sent, duplex.end) == (b"x", "closed")


async def test_a_broken_stream_is_no_orderly_end(guest: FakeGuest, agent: AgentClient) -> None:
    async def reset(stream: GuestStream) -> dict[str, object]:
        raise Refused("reset", "connection reset by peer")

    guest.scripts["x"] = reset
    duplex = FakeDuplex()

    await relay(duplex, await agent.open("x"))

    assert duplex.end == "aborted"


async def test_a_client_that_goes_away_ends_the_work_in_the_guest(guest: FakeGuest, agent: AgentClient) -> None:
    guest.scripts["x"] = hang
    duplex = FakeDuplex()
    stream = await agent.open("x")
    running = asyncio.create_task(relay(duplex, stream))

    duplex.lost.set()
    await running

    await stream.wait()
    assert duplex.end == "aborted"


async def test_a_client_that_leaves_while_the_guest_does_not_read_is_noticed(
    guest: FakeGuest, agent: AgentClient
) -> None:
    guest.scripts["x"] = hang
    duplex = FakeDuplex()
    duplex.coming.put_nowait(bytes(1_000_000))
    stream = await agent.open("x")
    running = asyncio.create_task(relay(duplex, stream))
    await asyncio.sleep(0.05)

    duplex.lost.set()
    await running

    await stream.wait()


async def test_a_cancelled_relay_leaves_nothing(guest: FakeGuest, agent: AgentClient) -> None:
    guest.scripts["x"] = hang
    duplex = FakeDuplex()
    stream = await agent.open("x")
    running = asyncio.create_task(relay(duplex, stream))
    await asyncio.sleep(0.01)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    await stream.wait()
    assert duplex.end == "aborted"


async def test_a_machine_that_ends_is_no_orderly_end(guest: FakeGuest, agent: AgentClient) -> None:
    guest.scripts["x"] = hang
    duplex = FakeDuplex()
    running = asyncio.create_task(relay(duplex, await agent.open("x")))
    await asyncio.sleep(0.01)

    await guest.stop()
    await running

    assert duplex.end == "aborted"
