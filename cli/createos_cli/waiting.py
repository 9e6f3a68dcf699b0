"""Waiting for a sandbox to reach a state (cli-behaviour 1.9)."""

from __future__ import annotations

from time import monotonic, sleep

from createos_cli.client import Client, JsonObject, segment
from createos_cli.errors import CliError

LONGEST_S = 300.0
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
