"""S3 disks of a guest: what is asked of it, and that nothing it answers is believed."""

from __future__ import annotations

import asyncio

import pytest
from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.mounts import GuestMount, GuestMounts, Held, How, Wanted
from createos_engine.errors import GuestFailed

from tests.fakes.guest import EOF, FakeGuest, GuestStream, Refused, Script, as_json

pytestmark = pytest.mark.timeout(20)

WANTED = Wanted("m1", "/mnt/data", "photos", prefix="2026", url="https://s3.example", access_key="ak", secret_key="sk")


@pytest.fixture
def mounts(agent: AgentClient) -> GuestMounts:
    return GuestMounts(agent)


def answering(result: dict[str, object]) -> Script:
    async def answer(stream: GuestStream) -> dict[str, object]:
        return result

    return answer


def refusing(code: str, message: str) -> Script:
    async def refuse(stream: GuestStream) -> None:
        raise Refused(code, message)

    return refuse


async def test_a_mount_is_asked_for_as_the_protocol_says(guest: FakeGuest, mounts: GuestMounts) -> None:
    guest.scripts["mount"] = answering({})

    await mounts.mount(WANTED)

    assert guest.requests == [
        {
            "kind": "mount",
            "id": "m1",
            "path": "/mnt/data",
            "bucket": "photos",
            "prefix": "2026",
            "url": "https://s3.example",
            "access_key": "ak",
            "secret_key": "sk",
            "region": "",
            "path_style": True,
            "authorities": "",
        }
    ]


def test_keys_are_in_no_repr() -> None:
    assert "sk" not in repr(WANTED)
    assert "ak" not in repr(WANTED)


async def test_a_refusal_says_which_path_and_why(guest: FakeGuest, mounts: GuestMounts) -> None:
    guest.scripts["mount"] = refusing("failed", "invalid\x1b[31m credentials " + "x" * 1000)

    with pytest.raises(
        GuestFailed, match=r"^the guest could not mount /mnt/data: invalid \[31m credentials x+$"
    ) as info:
        await mounts.mount(WANTED)

    assert info.value.context == {"code": "failed"}
    assert len(info.value.reason) < 400


async def test_a_guest_that_does_not_answer_is_given_up(guest: FakeGuest, mounts: GuestMounts) -> None:
    async def silent(stream: GuestStream) -> None:
        await stream.cancelled.wait()
        raise Refused("cancelled", "")

    guest.scripts["mount"] = silent

    with pytest.raises(GuestFailed, match="did not mount /mnt/data within 0.05 s"):
        await mounts.mount(WANTED, deadline_s=0.05)


async def test_an_accepted_connection_carries_bytes_both_ways(guest: FakeGuest, mounts: GuestMounts) -> None:
    async def echo(stream: GuestStream) -> dict[str, object]:
        await stream.write(as_json({"remote": "127.0.0.1:40000"}), 2)
        await stream.raw(EOF, flags=2)
        await stream.write(b"heard " + await stream.read())
        await stream.raw(EOF, flags=1)
        return {}

    guest.scripts["accept"] = echo

    stream = await mounts.accept("m1")
    await stream.send(b"GET")
    pieces = [piece.data async for piece in stream if piece.sub == 1]

    assert b"".join(pieces) == b"heard GET"


async def test_who_no_longer_waits_for_a_connection_tells_the_guest(guest: FakeGuest, mounts: GuestMounts) -> None:
    waiting, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(stream: GuestStream) -> None:
        waiting.set()
        await stream.cancelled.wait()
        cancelled.set()
        raise Refused("cancelled", "the host has cancelled it")

    guest.scripts["accept"] = wait
    accepting = asyncio.create_task(mounts.accept("m1"))
    await waiting.wait()
    accepting.cancel()

    await cancelled.wait()


async def test_accept_fails_where_there_is_no_mount(guest: FakeGuest, mounts: GuestMounts) -> None:
    guest.scripts["accept"] = refusing("no_mount", "there is no such mount")

    with pytest.raises(AgentError) as info:
        await mounts.accept("m1")

    assert info.value.code == "no_mount"


async def test_the_list_says_what_is_mounted_and_what_has_ended(guest: FakeGuest, mounts: GuestMounts) -> None:
    one = {"id": "m1", "path": "/a", "state": "mounted"}
    other = {"id": "m2", "path": "/b", "state": "ended", "error": "s3fs has ended\n"}
    guest.scripts["mounts"] = answering({"mounts": [one, other, "nonsense"]})

    assert await mounts.list() == (GuestMount("m1", "/a", True), GuestMount("m2", "/b", False, "s3fs has ended"))


@pytest.mark.parametrize("lie", [None, "m1", {"id": "m1"}, [{}] * 65])
async def test_a_list_that_is_none_is_refused(guest: FakeGuest, mounts: GuestMounts, lie: object) -> None:
    guest.scripts["mounts"] = answering({"mounts": lie})

    with pytest.raises(GuestFailed, match="no valid mounts"):
        await mounts.list()


async def test_an_unmount_says_how_it_ended(guest: FakeGuest, mounts: GuestMounts) -> None:
    guest.scripts["unmount"] = answering({"how": "lazy"})

    assert await mounts.unmount("m1", force=True, deadline_s=2.5) is How.LAZY
    assert guest.requests == [{"kind": "unmount", "id": "m1", "force": True, "deadline_ms": 2500}]


async def test_a_busy_mount_has_its_code(guest: FakeGuest, mounts: GuestMounts) -> None:
    guest.scripts["unmount"] = refusing("busy", "a program in the sandbox uses it")

    with pytest.raises(GuestFailed, match="a program in the sandbox uses it") as info:
        await mounts.unmount("m1", force=False, deadline_s=1)

    assert info.value.context["code"] == "busy"


async def test_an_unmount_of_another_kind_is_refused(guest: FakeGuest, mounts: GuestMounts) -> None:
    guest.scripts["unmount"] = answering({"how": "somehow"})

    with pytest.raises(GuestFailed, match="does not say how"):
        await mounts.unmount("m1", force=False, deadline_s=1)


async def test_hold_tells_what_became_of_each_mount(guest: FakeGuest, mounts: GuestMounts) -> None:
    failed = [{"id": "m3", "error": "the endpoint does not answer"}]
    guest.scripts["hold"] = answering({"unmounted": ["m1", 7], "kept": ["m2"], "failed": failed})

    assert await mounts.hold(deadline_s=5) == Held(("m1",), ("m2",), {"m3": "the endpoint does not answer"})
