"""wait_ready.py SOCKET SECONDS [PID]: wait until the daemon behind the unix socket says it is ready.

Exits 0 then, and 1 with the daemon's own reason when the time is over or process PID has ended.
Standard library only: it starts in 30 ms, and it is run in a loop by people.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from pathlib import Path


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=2)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def not_ready(path: str) -> str:
    """Return why the daemon cannot work yet in one sentence, empty when it can."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as exc:
        return f"{path} does not answer: {exc}"
    finally:
        connection.close()
    return "" if answer.status == http.HTTPStatus.OK else reason_in(body)


def reason_in(body: bytes) -> str:
    """Return the reason of a /readyz answer (wire-api 6)."""
    try:
        return str(json.loads(body)["data"]["reason"])
    except (ValueError, KeyError, TypeError):
        return f"createosd answers {body[:200]!r}"


def ended(pid: int) -> bool:
    """Return whether the process is gone. A zombie of the calling shell counts as gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def main(path: str, seconds: str, pid: str = "") -> str:
    """Wait and return why it was in vain, empty when the daemon is ready."""
    deadline = time.monotonic() + float(seconds)
    while reason := not_ready(path):
        if pid and ended(int(pid)):
            return f"createosd (process {pid}) has ended"
        if time.monotonic() >= deadline:
            return reason
        time.sleep(0.1)
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
