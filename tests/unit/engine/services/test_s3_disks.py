"""The registry of buckets over a real store and vault; the bucket is asked in name only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from createos_engine.disk_words import Attachment, Bucket, Keys, NewDisk
from createos_engine.errors import Conflict, HostFailed, Invalid, NotFound
from createos_engine.services.s3_disks import Prober, S3Disks
from createos_engine.services.vault import Vault
from createos_engine.store.attachments import AttachmentStore
from createos_engine.store.database import Database
from createos_engine.store.disks import DiskStore
from createos_engine.words import Page, User
from structlog.testing import capture_logs

from tests.fakes.rows import NOON
from tests.unit.engine.services.conftest import World

BUCKET = Bucket("https://s3.example.org", "my-bucket")
OLD, NEW = Keys("AKIDOLD", "s3cr3t-old"), Keys("AKIDNEW", "s3cr3t-new")
STRANGER = User("usr-9", "stranger", NOON)


@dataclass
class FakeProber:
    """Says what a test told it to; `asked` has the keys."""

    cause: str = ""
    asked: list[Keys] = field(default_factory=list)

    async def probe(self, bucket: Bucket, keys: Keys) -> str:
        """Note the keys."""
        self.asked.append(keys)
        return self.cause


_: Prober = FakeProber()


@pytest.fixture
def prober() -> FakeProber:
    return FakeProber()


@pytest.fixture
def disks(database: Database, tmp_path: Path, prober: FakeProber) -> S3Disks:
    store = DiskStore(database)
    return S3Disks(store, Vault(tmp_path / "disks.key", in_use=store.any), prober)


async def test_a_disk_is_found_and_has_its_keys(world: World, disks: S3Disks) -> None:
    made = await disks.create(world.user, NewDisk("data", BUCKET, OLD))

    assert made.id.startswith("disk_")
    assert [await disks.get(world.user, ref) for ref in ("data", made.id)] == [made, made]
    assert await disks.list(world.user, Page()) == ([made], 1)
    assert disks.keys(made.id) == OLD
    with pytest.raises(NotFound):
        await disks.get(STRANGER, made.id)


async def test_keys_are_in_no_file_and_no_log(world: World, disks: S3Disks, tmp_path: Path) -> None:
    with capture_logs() as logs:
        made = await disks.create(world.user, NewDisk("data", BUCKET, OLD))
        await disks.rotate(world.user, made.id, NEW)

    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (OLD.secret_key, NEW.secret_key, OLD.access_key):
        assert secret.encode() not in kept
        assert secret not in repr(logs)


async def test_a_bucket_that_cannot_be_used_is_not_registered(
    world: World, disks: S3Disks, prober: FakeProber, tmp_path: Path
) -> None:
    prober.cause = "the endpoint has no such bucket; make it"

    with pytest.raises(Invalid, match="bucket my-bucket at https://s3.example.org cannot be used") as refused:
        await disks.create(world.user, NewDisk("data", BUCKET, OLD))

    assert refused.value.field == "config"
    assert "no such bucket; make it" in refused.value.sentence
    assert await disks.list(world.user, Page()) == ([], 0)
    assert not (tmp_path / "disks.key").exists()


async def test_a_name_that_is_taken_is_said_before_anything_is_asked(
    world: World, disks: S3Disks, prober: FakeProber
) -> None:
    await disks.create(world.user, NewDisk("data", BUCKET, OLD))

    with pytest.raises(Invalid, match="already have a disk named data"):
        await disks.create(world.user, NewDisk("data", BUCKET, NEW))

    assert prober.asked == [OLD]


async def test_new_keys_must_open_the_bucket(world: World, disks: S3Disks, prober: FakeProber) -> None:
    made = await disks.create(world.user, NewDisk("data", BUCKET, OLD))
    prober.cause = "the endpoint does not know the access key"

    with pytest.raises(Invalid, match="does not know the access key") as refused:
        await disks.rotate(world.user, "data", NEW)
    assert (refused.value.field, disks.keys(made.id)) == ("credentials", OLD)

    prober.cause = ""
    assert await disks.rotate(world.user, "data", NEW) == made
    assert disks.keys(made.id) == NEW


async def test_a_forgotten_disk_has_no_keys(world: World, disks: S3Disks) -> None:
    made = await disks.create(world.user, NewDisk("data", BUCKET, OLD))

    assert await disks.delete(world.user, "data") == made

    for ref in ("data", made.id):
        with pytest.raises(NotFound):
            await disks.delete(world.user, ref)
    with pytest.raises(NotFound):
        disks.keys(made.id)


async def test_a_disk_that_a_sandbox_has_stays(world: World, disks: S3Disks, database: Database) -> None:
    made = await disks.create(world.user, NewDisk("data", BUCKET, OLD))
    box = await world.running()
    await AttachmentStore(database).add(Attachment("att-1", box.id, made, "/mnt"))

    with pytest.raises(Conflict, match="attached to 1 sandbox"):
        await disks.delete(world.user, "data")


async def test_sealed_keys_of_another_disk_do_not_open(world: World, disks: S3Disks, database: Database) -> None:
    one = await disks.create(world.user, NewDisk("one", BUCKET, OLD))
    two = await disks.create(world.user, NewDisk("two", BUCKET, NEW))
    store = DiskStore(database)

    await store.reseal(one.id, store.sealed(two.id))

    with pytest.raises(HostFailed, match="were not sealed"):
        disks.keys(one.id)


async def test_a_lost_key_file_is_said_and_the_disk_can_still_be_forgotten(
    world: World, disks: S3Disks, tmp_path: Path
) -> None:
    made = await disks.create(world.user, NewDisk("data", BUCKET, OLD))
    (tmp_path / "disks.key").unlink()

    with pytest.raises(HostFailed, match="disks.key is missing"):
        disks.keys(made.id)
    with pytest.raises(HostFailed, match="disks.key is missing"):
        await disks.create(world.user, NewDisk("more", BUCKET, OLD))

    await disks.delete(world.user, "data")
    again = await disks.create(world.user, NewDisk("data", BUCKET, NEW))
    assert disks.keys(again.id) == NEW


def test_the_words_do_not_show_the_keys() -> None:
    shown = repr(NewDisk("data", BUCKET, OLD))

    assert "my-bucket" in shown
    assert OLD.access_key not in shown
    assert OLD.secret_key not in shown
