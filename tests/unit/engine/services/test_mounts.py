"""The mounts of a guest are what the rows of its sandbox say, and the rows say how they are doing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from createos_engine.disk_words import Attachment, Bucket, Keys, MountStatus, S3Disk
from createos_engine.drivers.channel.mounts import GuestMount
from createos_engine.services import mount_keeper
from createos_engine.services.background import Background
from createos_engine.services.mounts import Mounts
from createos_engine.services.progress import Progress
from createos_engine.store.accounts import AccountStore
from createos_engine.store.attachments import AttachmentStore
from createos_engine.store.database import Database
from createos_engine.store.disks import DiskStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import State

from tests.fakes.guest_mounts import FakeEndpoint, FakeGuestMounts, agent
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.rows import NOON, sandbox
from tests.unit.engine.services.conftest import FILES

BOX, TOOLS = "sb-1", Path("/tools.img")
BUCKET = Bucket("https://s3.example.org", "my-bucket", "eu-1", path_style=True)
KEYS = Keys("AKID", "s3cr3t")
PATIENCE_S = 60.0


@dataclass
class World:
    """A running sandbox with a disk at /data, whose guest is not connected yet."""

    store: AttachmentStore
    sandboxes: SandboxStore
    guest: FakeGuestMounts
    endpoint: FakeEndpoint
    hypervisor: FakeHypervisor
    mounts: Mounts
    row: Attachment

    def of(self, path: str = "/data") -> Attachment:
        """Return the row of a path as it is now."""
        return next(row for row in self.store.of_sandbox(BOX) if row.mount_path == path)

    async def reach(self, status: MountStatus) -> Attachment:
        """Wait until the disk is in a status."""
        await until(lambda: self.of().status is status)
        return self.of()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., World]]:
    monkeypatch.setattr(mount_keeper, "WATCH_EVERY_S", 0.02)
    monkeypatch.setattr(mount_keeper, "WAITS_S", (0.02,))
    database, background, progress = Database(tmp_path / "engine.db"), Background(), Progress()
    progress.ready(replace(FILES, tools=TOOLS))
    user = await AccountStore(database).by_uid(0, "root")
    sandboxes, store, disks = SandboxStore(database), AttachmentStore(database), DiskStore(database)
    await sandboxes.insert(sandbox(id=BOX, user_id=user.id), capacity=9, address=str)
    disk = S3Disk("disk_1", user.id, "data", BUCKET, NOON)
    await disks.insert(disk, b"sealed")
    row = Attachment("att-1", BOX, disk, "/data", "folder")
    await store.add(row)

    def build(*, in_guest: bool = False) -> World:
        guest, endpoint, hypervisor = FakeGuestMounts(), FakeEndpoint(), FakeHypervisor()
        monkeypatch.setattr("createos_engine.services.mounts.GuestMounts", lambda _: guest)
        made = Mounts(
            *(store, sandboxes, hypervisor, endpoint, lambda _: KEYS, background, progress, "ab12"),
            in_guest=in_guest,
        )
        return World(store, sandboxes, guest, endpoint, hypervisor, made, row)

    yield build
    await background.close()
    database.close()


@pytest.fixture
async def world(make: Callable[..., World]) -> World:
    made = make()
    await made.sandboxes.move(BOX, State.RUNNING)
    return made


async def test_a_disk_is_mounted_when_its_guest_answers_and_the_guest_gets_no_keys(world: World) -> None:
    world.mounts.connected(BOX, agent())
    await world.reach(MountStatus.MOUNTED)

    [wanted] = world.guest.wanted
    assert (wanted.id, wanted.path, wanted.bucket, wanted.prefix) == ("att-1", "/data", "my-bucket", "folder")
    assert (wanted.url, wanted.access_key, wanted.secret_key) == ("", "", "")
    assert world.hypervisor.tools == {f"createos-ab12-{BOX}": TOOLS}
    assert world.endpoint.folders == ["folder"]


async def test_a_guest_that_is_to_have_the_keys_gets_them_with_the_endpoint(make: Callable[..., World]) -> None:
    world = make(in_guest=True)
    await world.sandboxes.move(BOX, State.RUNNING)
    world.mounts.connected(BOX, agent())
    await world.reach(MountStatus.MOUNTED)

    [wanted] = world.guest.wanted
    assert (wanted.url, wanted.access_key, wanted.secret_key) == (BUCKET.endpoint, "AKID", "s3cr3t")
    assert (wanted.region, wanted.path_style) == ("eu-1", True)


async def test_nothing_is_mounted_before_the_sandbox_runs(make: Callable[..., World]) -> None:
    world = make()
    world.mounts.connected(BOX, agent())
    await asyncio.sleep(0.1)
    assert world.guest.wanted == []

    await world.sandboxes.move(BOX, State.RUNNING)
    await world.reach(MountStatus.MOUNTED)


async def test_why_an_endpoint_cannot_be_used_is_said_and_it_is_tried_again(world: World) -> None:
    world.endpoint.cause = "the endpoint has no such bucket; make it"
    world.mounts.connected(BOX, agent())

    assert (await world.reach(MountStatus.ERROR)).error == "the endpoint has no such bucket; make it"
    assert world.guest.wanted == []
    world.endpoint.cause = ""
    assert (await world.reach(MountStatus.MOUNTED)).error == ""


async def test_why_the_guest_does_not_mount_is_said(world: World) -> None:
    world.guest.refuse = "/data is not a directory"
    world.mounts.connected(BOX, agent())

    assert (await world.reach(MountStatus.ERROR)).error == "the guest could not mount /data: /data is not a directory"


async def test_an_endpoint_that_goes_and_comes_back_changes_the_status_and_not_the_mount(world: World) -> None:
    world.mounts.connected(BOX, agent())
    await world.reach(MountStatus.MOUNTED)
    world.endpoint.cause = "the endpoint does not answer; look at it"

    assert (await world.reach(MountStatus.ERROR)).error == world.endpoint.cause
    world.endpoint.cause = ""
    await world.reach(MountStatus.MOUNTED)
    assert len(world.guest.wanted) == 1


async def test_what_somebody_unmounts_in_the_guest_is_mounted_again(world: World) -> None:
    world.mounts.connected(BOX, agent())
    await world.reach(MountStatus.MOUNTED)
    world.guest.lose("killed")

    await until(lambda: len(world.guest.wanted) == 2)
    await world.reach(MountStatus.MOUNTED)


async def test_a_mount_is_taken_away_by_force_even_from_a_guest_that_does_not_obey(world: World) -> None:
    world.mounts.connected(BOX, agent())
    await world.reach(MountStatus.MOUNTED)
    world.guest.deaf = "the guest did not unmount a disk within 8 s"
    await world.mounts.end(world.row)

    assert world.guest.unmounted == [("att-1", True)]
    await asyncio.sleep(0.1)
    assert len(world.guest.wanted) == 1


async def test_before_a_pause_all_is_written_out_and_nothing_is_mounted_again(world: World) -> None:
    world.mounts.connected(BOX, agent())
    await world.reach(MountStatus.MOUNTED)
    await world.mounts.hold(BOX)

    assert (world.guest.held, world.of().status) == (1, MountStatus.PENDING)
    await asyncio.sleep(0.1)
    assert len(world.guest.wanted) == 1
    world.mounts.connected(BOX, agent())
    await world.reach(MountStatus.MOUNTED)


async def test_what_a_fork_or_an_earlier_life_has_mounted_is_taken_away(world: World) -> None:
    world.guest.there["att-other"] = GuestMount("att-other", "/old", mounted=True)
    await world.store.set_status("att-1", MountStatus.UNMOUNTING)
    world.guest.there["att-1"] = GuestMount("att-1", "/data", mounted=True)
    world.mounts.connected(BOX, agent())

    await until(lambda: not world.store.of_sandbox(BOX))
    assert sorted(world.guest.unmounted) == [("att-1", True), ("att-other", True)]
    assert world.guest.wanted == []


async def test_a_disk_is_mounted_once_another_one_has_left_its_path(world: World) -> None:
    world.guest.there["att-other"] = GuestMount("att-other", "/data", mounted=False)
    world.guest.slow_s = 0.1
    world.mounts.connected(BOX, agent())
    await world.reach(MountStatus.MOUNTED)

    assert len(world.guest.wanted) == 1
    assert world.guest.unmounted == [("att-other", True)]


async def test_with_its_guest_gone_nobody_asks_the_endpoint_any_more(world: World) -> None:
    world.endpoint.cause = "the endpoint does not answer; look at it"
    lost = agent()
    world.mounts.connected(BOX, lost)
    await world.reach(MountStatus.ERROR)
    lost.connected = False
    await asyncio.sleep(0.1)
    world.endpoint.asked = 0
    await asyncio.sleep(0.1)

    assert world.endpoint.asked == 0


async def test_an_agent_that_knows_no_mounts_is_said_so(world: World) -> None:
    world.mounts.connected(BOX, agent("exec"))

    assert "older than this engine" in (await world.reach(MountStatus.ERROR)).error


async def test_a_host_without_the_tools_disk_says_what_to_do(make: Callable[..., World], monkeypatch: Any) -> None:
    world = make()
    monkeypatch.setattr("createos_engine.services.progress.Progress.require_files", lambda _: FILES)
    await world.sandboxes.move(BOX, State.RUNNING)
    world.mounts.connected(BOX, agent())

    error = (await world.reach(MountStatus.ERROR)).error
    assert error == "the tools disk for S3 is not built; run make setup on the host"
