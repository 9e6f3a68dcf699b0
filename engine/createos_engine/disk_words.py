"""The words of S3 disks as plain data (wire-api 14)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

KIND = "s3"
"""The only kind of disk there is (wire-api 14.1)."""


@dataclass(frozen=True)
class Bucket:
    """Where an S3 disk's objects are. `endpoint` is an http or https URL without path, query or user."""

    endpoint: str
    bucket: str
    region: str = ""
    path_style: bool = False


@dataclass(frozen=True)
class Keys:
    """The credentials of a bucket; they are in no repr, log or answer."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class NewDisk:
    """A bucket that is to be registered, after its form was checked and before it was asked."""

    name: str
    bucket: Bucket
    keys: Keys


@dataclass(frozen=True)
class S3Disk:
    """A bucket that a user has registered under a name. Its keys are sealed in the store and nowhere else."""

    id: str
    user_id: str
    name: str
    bucket: Bucket
    created_at: datetime


class MountStatus(StrEnum):
    """How an attachment is doing (wire-api 14.2)."""

    PENDING = "pending"
    MOUNTED = "mounted"
    ERROR = "error"
    UNMOUNTING = "unmounting"


@dataclass(frozen=True)
class Attachment:
    """A disk that is wanted at a path of a sandbox; sandbox, disk and path are its key, `id` is short for them.

    `sub_path` is the folder of the bucket that is mounted, without slashes at its ends; empty for all of it.
    """

    id: str
    sandbox_id: str
    disk: S3Disk
    mount_path: str
    sub_path: str = ""
    status: MountStatus = MountStatus.PENDING
    error: str = ""
