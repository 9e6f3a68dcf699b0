"""Disks of sandboxes: the row comes first and goes last, and what cannot be had is said with its field."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from createos_engine.disk_words import Attachment, Bucket, MountStatus, S3Disk
from createos_engine.errors import Conflict, Invalid, NotFound
from createos_engine.services.attachments import Attachments
from createos_engine.services.background import Background
from createos_engine.services.locks import SandboxLocks
from createos_engine.store.accounts import AccountStore
from createos_engine.store.attachments import AttachmentStore
from createos_engine.store.database import Database
from createos_engine.store.disks import DiskStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Page, State, User, WantedDisk

from tests.fakes.rows import NOON, sandbox

PAGE = Page(100, 0)


@dataclass
class Told:
    """What mounts and the network were told, in the order of the telling."""

    store: AttachmentStore
    events: list[object] = field(default_factory=list)

    def begin(self, row: Attachment) -> None:
        """Note a mount."""
        self.events.append(("begin", row.mount_path))

    async def end(self, row: Attachment) -> None:
        """Note the end of one, and what its row says then."""
        [stored] = [each for each in self.store.of_sandbox(row.sandbox_id) if each.id == row.id]
        self.events.append(("end", row.mount_path, stored.status))

    def renew(self, slot: int) -> None:
        """Note that rules were put in force."""
        self.events.append("rules")


@dataclass
class World:
    """A user with a running sandbox `box` and a disk `data`."""

    attachments: Attachments
    sandboxes: SandboxStore
    told: Told
    user: User


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database, background = Database(tmp_path / "engine.db"), Background()
    user = await AccountStore(database).by_uid(0, "root")
    sandboxes, store, disks = SandboxStore(database), AttachmentStore(database), DiskStore(database)
    await sandboxes.insert(sandbox(id="sb-1", name="box", user_id=user.id), capacity=9, address=str)
    await sandboxes.move("sb-1", State.RUNNING)
    await disks.insert(S3Disk("disk_1", user.id, "data", Bucket("http://192.0.2.1", "b"), NOON), b"sealed")
    told = Told(store)
    attachments = Attachments(
        *(store, disks, sandboxes, cast("Any", told), cast("Any", told), SandboxLocks(), background)
    )
    yield World(attachments, sandboxes, told, user)
    await background.close()
    database.close()


async def test_an_attached_disk_is_pending_and_its_endpoint_let_through_before_it_is_mounted(world: World) -> None:
    row = await world.attachments.attach(world.user, "box", "data", "/mnt", "folder")

    assert world.told.events == ["rules", ("begin", "/mnt")]
    rows, total = await world.attachments.list(world.user, "box", PAGE)
    assert (rows, total) == ([row], 1)
    assert (row.status, row.sub_path, row.sandbox_id) == (MountStatus.PENDING, "folder", "sb-1")


async def test_a_detached_disk_is_unmounting_until_it_is_gone_and_so_is_its_row(world: World) -> None:
    await world.attachments.attach(world.user, "box", "data", "/mnt", "")
    world.told.events.clear()
    await world.attachments.detach(world.user, "box", "data", None)

    assert world.told.events == [("end", "/mnt", MountStatus.UNMOUNTING), "rules"]
    assert await world.attachments.list(world.user, "box", PAGE) == ([], 0)
    with pytest.raises(NotFound, match="does not have disk data"):
        await world.attachments.detach(world.user, "box", "data", None)


@pytest.mark.parametrize("path", ["/mnt/a", "/mnt/a/below", "/mnt"])
async def test_two_disks_are_not_mounted_at_or_in_each_other(world: World, path: str) -> None:
    await world.attachments.attach(world.user, "box", "data", "/mnt/a", "")

    with pytest.raises(Conflict):
        await world.attachments.attach(world.user, "box", "data", path, "")
    await world.attachments.attach(world.user, "box", "data", "/mnt2", "")


async def test_only_a_running_sandbox_gets_a_disk_and_any_loses_one(world: World) -> None:
    await world.attachments.attach(world.user, "box", "data", "/mnt", "")
    await world.sandboxes.move("sb-1", State.PAUSING)
    await world.sandboxes.move("sb-1", State.PAUSED)

    with pytest.raises(Conflict, match="sandbox is paused"):
        await world.attachments.attach(world.user, "box", "data", "/other", "")
    await world.attachments.detach(world.user, "box", "data", "/mnt")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([WantedDisk("nothing", "/mnt")], "unknown disk: nothing"),
        ([WantedDisk("data", "/mnt/a"), WantedDisk("data", "/mnt")], "in each other"),
        ([WantedDisk("data", f"/mnt{number}") for number in range(17)], "at most|at a time"),
    ],
)
async def test_what_a_create_cannot_have_is_said_with_its_field(
    world: World, wanted: list[WantedDisk], said: str
) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        world.attachments.wanted(world.user, wanted)

    assert refused.value.field == "disks"


async def test_the_disks_of_a_create_are_rows_before_it_runs(world: World) -> None:
    rows = world.attachments.wanted(world.user, [WantedDisk("data", "/a", "x"), WantedDisk("disk_1", "/b")])
    box = world.sandboxes.get("sb-1")
    await world.attachments.join(box, rows)

    assert world.told.events == []
    found, _ = await world.attachments.list(world.user, "box", PAGE)
    assert {(row.mount_path, row.sub_path, row.status) for row in found} == {
        ("/a", "x", MountStatus.PENDING),
        ("/b", "", MountStatus.PENDING),
    }
