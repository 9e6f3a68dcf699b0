"""Waiting for a sandbox to reach a state, and for its disks (cli-behaviour 1.9)."""

from __future__ import annotations

from time import monotonic, sleep

from createos_cli.client import Client, JsonObject, segment
from createos_cli.errors import CliError

LONGEST_S = 300.0
LONGEST_MOUNT_S = 30.0
MOST_DISKS = 200
FIRST_STEP_S, LONGEST_STEP_S = 0.1, 2.0
ENDED = ("failed", "error", "destroying", "destroyed")
# Where a pause or a resume that came to nothing leaves the sandbox: where it was.
UNDONE = {"paused": "running", "running": "paused"}


def wait_for(client: Client, sandbox_id: str, wanted: str) -> JsonObject:
    """Return the sandbox once its status is *wanted*; raise CliError when it ends elsewhere or five minutes pass."""
    end, step = monotonic() + LONGEST_S, FIRST_STEP_S
    while True:
        found = client.get(f"/v1/sandboxes/{segment(sandbox_id)}")
        status = str(found.get("status", ""))
        if status == wanted:
            return found
        if status in ENDED or status == UNDONE.get(wanted) or monotonic() > end:
            reason = f": {found['reason']}" if found.get("reason") else ""
            raise CliError(f"the sandbox is {status}, not {wanted}{reason}", hint=f"createos sandbox get {sandbox_id}")
        sleep(step)
        step = min(step * 1.5, LONGEST_STEP_S)


def wait_for_mount(client: Client, sandbox_id: str, mount_path: str) -> str:
    """Return `mounted` once the disk at a path is; raise CliError when it cannot be or is not within 30 seconds."""
    end, step = monotonic() + LONGEST_MOUNT_S, FIRST_STEP_S
    while True:
        rows = client.rows(f"/v1/sandboxes/{segment(sandbox_id)}/disks", limit=MOST_DISKS)
        found = next((row for row in rows if row.get("mount_path") == mount_path.rstrip("/")), {})
        status, hint = str(found.get("mount_status") or "gone"), f"createos sandbox disk ls --sandbox {sandbox_id}"
        if status == "mounted":
            return status
        if status in ("error", "gone"):
            reason = f": {found['mount_error']}" if found.get("mount_error") else ""
            raise CliError(f"the disk could not be mounted at {mount_path}{reason}", hint=hint)
        if monotonic() > end:
            raise CliError(f"the disk is {status} at {mount_path} after {LONGEST_MOUNT_S:.0f} seconds", hint=hint)
        sleep(step)
        step = min(step * 1.5, LONGEST_STEP_S)
