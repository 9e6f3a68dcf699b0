"""Disks and their attachments: what is stored comes back, and neither outlives what it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from createos_engine.disk_words import Attachment, Bucket, MountStatus, S3Disk
from createos_engine.errors import Conflict, Invalid, NotFound
from createos_engine.store.accounts import AccountStore
from createos_engine.store.attachments import MOST_OF_A_SANDBOX, AttachmentStore
from createos_engine.store.database import Database
from createos_engine.store.disks import DiskStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Page, State

from tests.fakes.rows import NOON, sandbox

BUCKET = Bucket("https://s3.example.org", "my-bucket", "eu-1", path_style=True)


@dataclass
class World:
    """A user with the sandbox `sb-1`, and a second user."""

    disks: DiskStore
    attachments: AttachmentStore
    sandboxes: SandboxStore
    user_id: str
    other_id: str

    async def disk(self, name: str = "data", number: int = 1, user_id: str = "") -> S3Disk:
        """Store a disk; a higher *number* is newer."""
        made = NOON + timedelta(minutes=number)
        disk = S3Disk(f"disk_{number}", user_id or self.user_id, name, BUCKET, made)
        await self.disks.insert(disk, b"sealed")
        return disk

    async def attached(self, disk: S3Disk, path: str, number: int = 1) -> Attachment:
        """Store an attachment to `sb-1`."""
        draft = Attachment(f"att-{number}", "sb-1", disk, path)
        await self.attachments.add(draft)
        return draft


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "engine.db")
    yield database
    database.close()


@pytest.fixture
async def world(database: Database) -> World:
    accounts, sandboxes = AccountStore(database), SandboxStore(database)
    user, other = await accounts.by_uid(0, "root"), await accounts.by_uid(1, "other")
    await sandboxes.insert(sandbox(id="sb-1", user_id=user.id), capacity=9, address=str)
    return World(DiskStore(database), AttachmentStore(database), sandboxes, user.id, other.id)


async def test_a_disk_comes_back_as_it_was_stored(world: World) -> None:
    disk = await world.disk()

    assert [world.disks.find(world.user_id, ref) for ref in ("data", "disk_1")] == [disk, disk]
    assert world.disks.sealed("disk_1") == b"sealed"


async def test_somebody_elses_disk_is_not_found(world: World) -> None:
    await world.disk()

    with pytest.raises(NotFound):
        world.disks.find(world.other_id, "disk_1")


async def test_each_user_has_his_own_names(world: World) -> None:
    await world.disk()
    await world.disk(number=2, user_id=world.other_id)

    with pytest.raises(Invalid, match="already have a disk named data") as refused:
        await world.disk(number=3)

    assert refused.value.field == "name"


async def test_disks_are_listed_newest_first(world: World) -> None:
    rows = [await world.disk(f"d{number}", number) for number in range(1, 4)]
    await world.disk("theirs", 4, world.other_id)

    assert world.disks.page(world.user_id, Page(limit=2)) == ([rows[2], rows[1]], 3)
    assert world.disks.page(world.user_id, Page(offset=2)) == ([rows[0]], 3)


async def test_new_keys_go_to_a_disk_that_is_there(world: World) -> None:
    await world.disk()

    await world.disks.reseal("disk_1", b"other")

    assert world.disks.sealed("disk_1") == b"other"
    with pytest.raises(NotFound):
        await world.disks.reseal("disk_2", b"other")


async def test_a_deleted_disk_is_gone_with_its_keys(world: World) -> None:
    disk = await world.disk()

    await world.disks.delete(disk)

    assert not world.disks.any()
    for call in (lambda: world.disks.find(world.user_id, "data"), lambda: world.disks.sealed("disk_1")):
        with pytest.raises(NotFound):
            call()
    with pytest.raises(NotFound):
        await world.disks.delete(disk)


async def test_an_attachment_comes_back_with_its_disk(world: World) -> None:
    disk = await world.disk()
    draft = Attachment("att-1", "sb-1", disk, "/mnt", "logs/app", MountStatus.PENDING, "waits")

    await world.attachments.add(draft)

    assert world.attachments.of_sandbox("sb-1") == [draft]
    assert world.attachments.of_disk(disk.id) == [draft]
    assert world.attachments.page("sb-1", Page()) == ([draft], 1)


async def test_attachments_of_a_sandbox_are_paged_newest_first(world: World) -> None:
    disk = await world.disk()
    rows = [await world.attached(disk, f"/m{number}", number) for number in range(1, 4)]

    assert world.attachments.of_sandbox("sb-1") == rows
    assert world.attachments.page("sb-1", Page(limit=2)) == ([rows[2], rows[1]], 3)


async def test_one_disk_may_be_at_two_paths_but_no_path_has_two(world: World) -> None:
    disk = await world.disk()
    await world.attached(disk, "/a", 1)
    await world.attached(disk, "/b", 2)

    with pytest.raises(Conflict, match="has a disk at /a already"):
        await world.attached(await world.disk("other", 2), "/a", 3)


async def test_a_sandbox_has_only_so_many_disks(world: World) -> None:
    disk = await world.disk()
    for number in range(MOST_OF_A_SANDBOX):
        await world.attached(disk, f"/m{number}", number)

    with pytest.raises(Conflict, match="can have 16 disks at a time"):
        await world.attached(disk, "/more", 99)


async def test_a_sandbox_that_has_ended_gets_no_disk(world: World) -> None:
    disk = await world.disk()
    await world.sandboxes.move("sb-1", State.DESTROYING)

    with pytest.raises(Conflict, match="sandbox is destroying"):
        await world.attached(disk, "/mnt")
    with pytest.raises(NotFound, match="sandbox not found"):
        await world.attachments.add(Attachment("att-1", "sb-9", disk, "/mnt"))


async def test_a_status_is_written_down(world: World) -> None:
    await world.attached(await world.disk(), "/mnt")

    await world.attachments.set_status("att-1", MountStatus.ERROR, "no such bucket")
    await world.attachments.set_status("att-9", MountStatus.MOUNTED)

    [row] = world.attachments.of_sandbox("sb-1")
    assert (row.status, row.error) == (MountStatus.ERROR, "no such bucket")


async def test_a_place_is_named_by_disk_and_path(world: World) -> None:
    disk = await world.disk()
    rows = [await world.attached(disk, path, number) for number, path in enumerate(("/a", "/b"))]

    assert world.attachments.named("sb-1", disk, "/b") == rows[1]
    with pytest.raises(Invalid, match="attached at 2 paths: /a, /b"):
        world.attachments.named("sb-1", disk, None)
    with pytest.raises(NotFound, match="does not have disk data at /c"):
        world.attachments.named("sb-1", disk, "/c")
    await world.attachments.remove("att-0")
    await world.attachments.remove("att-0")
    assert world.attachments.named("sb-1", disk, None) == rows[1]


async def test_a_disk_in_use_stays(world: World) -> None:
    disk = await world.disk()
    await world.attached(disk, "/a", 1)
    await world.attached(disk, "/b", 2)

    with pytest.raises(Conflict, match="disk data is attached to 1 sandbox"):
        await world.disks.delete(disk)

    assert world.disks.find(world.user_id, "data") == disk


@pytest.mark.parametrize("end", [State.DESTROYED, State.FAILED])
async def test_a_sandbox_that_ends_lets_go_of_its_disks(world: World, end: State) -> None:
    disk = await world.disk()
    await world.attached(disk, "/mnt")

    if end is State.DESTROYED:
        await world.sandboxes.move("sb-1", State.DESTROYING)
        with pytest.raises(Conflict):
            await world.disks.delete(disk)
    await world.sandboxes.move("sb-1", end)

    assert world.attachments.of_sandbox("sb-1") == []
    await world.disks.delete(disk)


async def test_of_an_attach_and_a_delete_only_one_comes_first(world: World) -> None:
    for number in range(20):
        disk = await world.disk(f"d{number}", number)
        draft = Attachment(f"att-{number}", "sb-1", disk, f"/m{number}")

        attached, deleted = await asyncio.gather(
            world.attachments.add(draft), world.disks.delete(disk), return_exceptions=True
        )

        assert (attached is None) != (deleted is None)
        assert isinstance(attached or deleted, NotFound if attached else Conflict)
        await world.attachments.remove(draft.id)
