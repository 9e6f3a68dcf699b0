"""How a channel begins, whatever state machine and guest are in."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from time import monotonic

import pytest
from createos_engine.drivers.channel.mux import Channel
from createos_engine.errors import GuestFailed

from tests.fakes.guest import DATA, EXIT, HELLO, READY, FakeGuest, Link, as_json, frame


async def test_ready_is_parsed(guest: FakeGuest) -> None:
    guest.hello = {**HELLO, "boot": {"state": "failed", "reason": "no root\x07"}, "later": "key"}

    channel = await Channel.connect(guest.path, deadline_s=60)

    assert (channel.ready.agent, channel.ready.capabilities, channel.ready.boot_ms) == ("fake", ("exec",), 1234)
    assert (channel.ready.boot_state, channel.ready.boot_reason) == ("failed", "no root")
    await channel.close()


@pytest.mark.parametrize(
    "stale",
    [
        b"half of a frame's payload",
        frame(EXIT, 3, b'{"exit_code":0}')[5:] + frame(DATA, 9, bytes(60_000), 1),
        frame(READY, 0, b"createos-ready-1" + bytes(16) + as_json(HELLO)),
        b"createos-ready-1" * 5_000,
        frame(DATA, 9, bytes(60_000), 1)[:40_000],
    ],
    ids=["text", "frames", "old-ready", "markers", "cut"],
)
async def test_bytes_of_an_earlier_connection_are_dropped(guest: FakeGuest, stale: bytes) -> None:
    guest.stale = guest.before_ready = stale

    channel = await Channel.connect(guest.path, deadline_s=60)
    stream = await channel.open({"kind": "ping"})

    assert await stream.result() == {}
    await channel.close()


async def test_lost_first_bytes_are_sent_again(guest: FakeGuest) -> None:
    guest.deaf_resets = 2

    channel = await Channel.connect(guest.path, deadline_s=60)

    assert guest.resets == 3
    await channel.close()


async def test_a_machine_that_starts_late_is_waited_for(tmp_path: Path) -> None:
    guest = FakeGuest(tmp_path / "channel")
    connecting = asyncio.create_task(Channel.connect(guest.path, deadline_s=60))
    await asyncio.sleep(0.1)

    await guest.start()
    channel = await connecting

    assert channel.connected
    await channel.close()
    await guest.stop()


async def test_a_guest_that_answers_every_reset_at_once_when_it_is_up_is_fine(guest: FakeGuest) -> None:
    async def answer_twice_more(link: Link) -> None:
        for _ in range(2):
            await link.send(frame(READY, 0, b"createos-ready-1" + link.nonce + as_json(HELLO)))

    guest.deaf_resets, guest.after_ready = 2, answer_twice_more

    channel = await Channel.connect(guest.path, deadline_s=60)
    stream = await channel.open({"kind": "ping"})

    assert await stream.result() == {}
    await channel.close()


async def test_a_connection_that_is_closed_while_it_waits_is_made_again(guest: FakeGuest) -> None:
    guest.deaf_resets = 1
    connecting = asyncio.create_task(Channel.connect(guest.path, deadline_s=60))
    await guest.until(lambda: guest.resets == 1)
    guest.links[0].writer.transport.abort()

    channel = await connecting

    assert len(guest.links) == 2
    await channel.close()


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("missing", "channel does not exist: the machine is not running"),
        ("silent", "it has said nothing; it is still booting, or another client holds the channel"),
        ("babbling", "it sent 6 bytes, none of them an answer to this connection"),
    ],
)
async def test_the_deadline_says_how_far_it_came(tmp_path: Path, behaviour: str, said: str) -> None:
    guest = FakeGuest(tmp_path / "channel", deaf_resets=10_000, stale=b"babble" * (behaviour == "babbling"))
    if behaviour != "missing":
        await guest.start()
    begun = monotonic()

    with pytest.raises(GuestFailed, match="did not answer within 0.3 s") as failure:
        await Channel.connect(guest.path, deadline_s=0.3)

    assert said in failure.value.reason
    assert monotonic() - begun < 2
    await guest.stop()


async def test_a_channel_that_another_client_holds_ends_with_the_deadline(tmp_path: Path) -> None:
    """The kernel lets a second client of QEMU connect and write, and nobody ever answers it."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()

        with pytest.raises(GuestFailed, match="within 0.6 s: it has said nothing; .* another client holds the channel"):
            await Channel.connect(tmp_path / "s", deadline_s=0.6)


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        ({**HELLO, "version": 2}, "speaks protocol version 2, this engine speaks 1"),
        ({**HELLO, "boot": "fine"}, "no valid boot and capabilities"),
        ({**HELLO, "boot_ms": -1}, "no valid boot_ms"),
        ([], "the guest broke the protocol: READY is not a JSON object"),
    ],
)
async def test_a_ready_that_cannot_be_understood_is_refused_at_once(guest: FakeGuest, hello: object, said: str) -> None:
    guest.hello = hello

    with pytest.raises(GuestFailed, match=said):
        await Channel.connect(guest.path, deadline_s=60)


async def test_a_path_that_cannot_be_a_socket_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(GuestFailed, match="has 2[0-9][0-9] bytes; a socket's path has at most 107"):
        await Channel.connect(tmp_path / ("x" * 200), deadline_s=60)


async def test_a_socket_that_nobody_listens_on_any_more_is_named(guest: FakeGuest) -> None:
    await guest.stop()
    guest.path.touch()

    with pytest.raises(GuestFailed, match="nothing accepts connections on .*channel"):
        await Channel.connect(guest.path, deadline_s=0.2)


async def test_a_cancelled_handshake_closes_its_connection(guest: FakeGuest) -> None:
    guest.deaf_resets = 10_000
    connecting = asyncio.create_task(Channel.connect(guest.path, deadline_s=60))
    await guest.until(lambda: guest.resets == 1)

    connecting.cancel()
    await asyncio.wait({connecting})

    await guest.until(guest.links[0].reader.at_eof)
