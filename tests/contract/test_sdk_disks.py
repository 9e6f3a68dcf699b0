"""S3 disks as the official Python SDK drives them: every bucket of the fakes answers, a live engine asks a real one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace

import createos
import pytest

from tests.host.s3server import OWNER, S3Server
from tests.vm.engine import wait_for

CONFIG = createos.DiskConfig("my-bucket", "https://s3.example.org", "eu-1", use_path_style=True)
KEYS = createos.DiskCredentials(OWNER.access_key, OWNER.secret_key)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[createos.DiskConfig]:
    """A bucket that answers to KEYS."""
    if "CREATEOS_SANDBOX_URL" not in os.environ:
        yield CONFIG
        return
    server = S3Server(tmp_path_factory.mktemp("s3"))
    bucket = server.bucket("sdk")
    yield createos.DiskConfig(bucket.bucket, bucket.endpoint, bucket.region, use_path_style=True)
    server.close()


@pytest.fixture
def disk(client: createos.Client, config: createos.DiskConfig) -> Iterator[createos.Disk]:
    """A disk for one test."""
    name = f"d{uuid.uuid4().hex[:12]}"
    made = client.disks.create(createos.DiskCreateRequest(name=name, config=config, credentials=KEYS))
    yield made
    client.disks.delete(made.id)


def test_a_new_disk_is_found_with_its_bucket(
    client: createos.Client, disk: createos.Disk, config: createos.DiskConfig
) -> None:
    assert disk.id.startswith("disk_")
    assert (disk.kind, disk.config) == (createos.DiskKind.S3, config)
    assert disk.created_at is not None
    assert [row for row in client.disks.list() if row.id == disk.id] == [disk]
    assert [client.disks.get(ref) for ref in (disk.id, disk.name)] == [disk, disk]


def test_a_name_is_taken_once(client: createos.Client, disk: createos.Disk) -> None:
    with pytest.raises(createos.APIError, match="already have a disk named") as refused:
        client.disks.create(createos.DiskCreateRequest(name=disk.name, config=CONFIG, credentials=KEYS))

    assert refused.value.status_code == 400


@pytest.mark.parametrize(
    ("name", "wanted", "keys", "said"),
    [
        ("Not A Label", CONFIG, KEYS, "1 to 63 characters"),
        ("d", createos.DiskConfig("missing", ""), KEYS, "no such bucket"),
        ("d", createos.DiskConfig("my-bucket", "s3.example.org"), KEYS, "no http or https URL"),
        ("d", CONFIG, createos.DiskCredentials("AKID", ""), "a secret key has"),
    ],
)
def test_what_cannot_be_registered_is_said(
    client: createos.Client,
    config: createos.DiskConfig,
    name: str,
    wanted: createos.DiskConfig,
    keys: createos.DiskCredentials,
    said: str,
) -> None:
    wanted = replace(wanted, endpoint=wanted.endpoint or config.endpoint, use_path_style=True)
    with pytest.raises(createos.APIError, match=said) as refused:
        client.disks.create(createos.DiskCreateRequest(name=name, config=wanted, credentials=keys))

    assert refused.value.status_code == 400


def test_keys_are_replaced(client: createos.Client, disk: createos.Disk) -> None:
    assert client.disks.rotate_credentials(disk.name, KEYS) == disk

    with pytest.raises(createos.APIError) as refused:
        client.disks.rotate_credentials(disk.name, createos.DiskCredentials())
    assert refused.value.status_code == 400


def test_a_disk_is_attached_and_holds_its_registration(
    client: createos.Client, disk: createos.Disk, config: createos.DiskConfig, box: createos.SandboxInstance
) -> None:
    def attached() -> createos.SandboxDisk:
        [row] = [row for row in box.list_disks() if row.disk_id == disk.id]
        return row

    box.attach_disk(createos.AttachDiskOptions(disk.name, "/mnt/data", "logs"))
    wait_for(lambda: attached().mount_status is createos.DiskMountStatus.MOUNTED, 60, "it is not mounted")
    row = attached()

    assert (row.name, row.config, row.mount_path, row.sub_path) == (disk.name, config, "/mnt/data", "logs")
    with pytest.raises(createos.APIError, match="attached to 1 sandbox") as refused:
        client.disks.delete(disk.id)
    assert refused.value.status_code == 409
    with pytest.raises(createos.APIError, match="has a disk at /mnt/data already"):
        box.attach_disk(createos.AttachDiskOptions(disk.id, "/mnt/data"))
    assert box.detach_disk(createos.DetachDiskOptions(disk.id, "/mnt/data"))
    assert box.list_disks() == []


def test_an_empty_path_means_the_only_one(disk: createos.Disk, box: createos.SandboxInstance) -> None:
    box.attach_disk(createos.AttachDiskOptions(disk.id, "/mnt/only"))

    assert box.detach_disk(createos.DetachDiskOptions(disk.name))

    assert box.list_disks() == []


def test_what_does_not_exist_is_404(client: createos.Client, box: createos.SandboxInstance) -> None:
    for call in (
        lambda: client.disks.get("disk_unknown"),
        lambda: client.disks.delete("nothing"),
        lambda: client.disks.rotate_credentials("nothing", KEYS),
        lambda: box.attach_disk(createos.AttachDiskOptions("nothing", "/mnt")),
        lambda: box.detach_disk(createos.DetachDiskOptions("nothing")),
    ):
        with pytest.raises(createos.APIError, match="disk not found") as refused:
            call()
        assert refused.value.status_code == 404
