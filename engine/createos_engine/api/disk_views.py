"""S3 disks as they are on the wire (wire-api 14)."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from createos_engine.api.views import moment
from createos_engine.disk_words import Attachment, Bucket, S3Disk


class ConfigView(TypedDict):
    """Where a bucket is."""

    bucket: str
    endpoint: str
    region: NotRequired[str]
    use_path_style: bool


class DiskView(TypedDict):
    """A registered bucket; its keys are in no answer."""

    id: str
    name: str
    kind: Literal["s3"]
    config: ConfigView
    created_at: str


class AttachmentView(TypedDict):
    """A disk of a sandbox; `mount_error` says what keeps it from being mounted."""

    disk_id: str
    name: str
    kind: Literal["s3"]
    config: ConfigView
    mount_path: str
    sub_path: NotRequired[str]
    mount_status: Literal["pending", "mounted", "error", "unmounting"]
    mount_error: NotRequired[str]


class ForgottenView(TypedDict):
    """The answer of a removal."""

    deleted: Literal[True]


class AttachedView(TypedDict):
    """The answer of an attach: the id of the sandbox."""

    id: str
    ok: Literal[True]


class DetachedView(TypedDict):
    """The answer of a detach."""

    detached: Literal[True]


def disk(row: S3Disk) -> DiskView:
    """Return the view of a disk."""
    return {
        "id": row.id,
        "name": row.name,
        "kind": "s3",
        "config": _config(row.bucket),
        "created_at": moment(row.created_at),
    }


def attachment(row: Attachment) -> AttachmentView:
    """Return the view of a disk at a path of a sandbox."""
    view: AttachmentView = {
        "disk_id": row.disk.id,
        "name": row.disk.name,
        "kind": "s3",
        "config": _config(row.disk.bucket),
        "mount_path": row.mount_path,
        "mount_status": row.status.value,
    }
    if row.sub_path:
        view["sub_path"] = row.sub_path
    if row.error:
        view["mount_error"] = row.error
    return view


def _config(bucket: Bucket) -> ConfigView:
    view: ConfigView = {
        "bucket": bucket.bucket,
        "endpoint": bucket.endpoint,
        "use_path_style": bucket.path_style,
    }
    if bucket.region:
        view["region"] = bucket.region
    return view
