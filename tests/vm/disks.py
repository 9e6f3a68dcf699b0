"""S3 disks of live engines, as tests register, attach and watch them."""

from __future__ import annotations

from typing import Any

from tests.host.s3server import OWNER, S3Server
from tests.vm.engine import Box, LiveEngine, wait_for


def register(engine: LiveEngine, s3: S3Server, name: str) -> dict[str, Any]:
    bucket = s3.bucket(name)
    config = {"bucket": bucket.bucket, "endpoint": bucket.endpoint, "region": bucket.region, "use_path_style": True}
    credentials = {"access_key": OWNER.access_key, "secret_key": OWNER.secret_key}
    row: dict[str, Any] = engine.call(
        "POST", "/v1/disks", {"name": name, "kind": "s3", "config": config, "credentials": credentials}
    )
    return row


def attach(box: Box, disk: str, path: str, sub_path: str = "") -> None:
    body = {"disk_id": disk, "mount_path": path} | ({"sub_path": sub_path} if sub_path else {})
    box.engine.call("POST", f"/v1/sandboxes/{box.id}/disks", body)


def row_at(box: Box, path: str) -> dict[str, Any]:
    rows = box.engine.call("GET", f"/v1/sandboxes/{box.id}/disks")["data"]
    return next((row for row in rows if row["mount_path"] == path), {})


def reach(box: Box, path: str, status: str) -> dict[str, Any]:
    wait_for(
        lambda: row_at(box, path).get("mount_status") == status, 60, f"{path} is not {status}: {row_at(box, path)}"
    )
    return row_at(box, path)


def detach(box: Box, disk: str, path: str) -> None:
    box.engine.call("DELETE", f"/v1/sandboxes/{box.id}/disks/{disk}?mount_path={path}")
