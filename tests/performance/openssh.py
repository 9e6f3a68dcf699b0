"""OpenSSH's server in a guest, reached over its tap: what a machine without an engine would be used through."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.performance.bench import Bench
from tests.vm.engine import Box, wait_for

_IMAGE = "devbox:1"
# A busy machine takes seconds to start the server's process for a connection.
_BANNER_S = 20.0
_LET_IN = "mkdir -p /root/.ssh && chmod 700 /root/.ssh && cat > /root/.ssh/authorized_keys"
_SERVE = """
mkdir -p /run/sshd && ssh-keygen -q -t ed25519 -N '' -f /root/bench_key
/usr/sbin/sshd -h /root/bench_key -o ListenAddress=0.0.0.0:22 < /dev/null > /dev/null 2>&1
"""


@dataclass(frozen=True)
class Sshd:
    """A guest whose root is let in with our key: over its own network at `at`, and by name through the gateway."""

    box: Box
    at: str
    options: tuple[str, ...]
    gateway: tuple[str, ...]
    """`ssh` arguments up to the host, for the engine's own SSH server."""


@contextmanager
def started(bench: Bench) -> Iterator[Sshd]:
    """Let a new key into the shared sandbox that has a server, and start that if nobody has."""
    with tempfile.TemporaryDirectory() as place:
        key = Path(place) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        public = key.with_suffix(".pub").read_text()
        box = bench.box(_IMAGE)
        box.engine.call("POST", f"/v1/sandboxes/{box.id}/ssh-pubkeys", {"keys": [public]})
        assert box.exec("/bin/sh", "-c", _LET_IN, stdin=public)["exit_code"] == 0
        address = str(box.row["ip"])
        if not _answers(address):
            box.sh(_SERVE)
        wait_for(lambda: _answers(address), 60, "sshd does not answer")
        options = _options(key)
        port = box.engine.call("GET", "/v1/ssh-gateway")["port"]
        gateway = (*options, "-p", str(port), f"{box.row['name']}@127.0.0.1")
        yield Sshd(box, f"root@{address}", options, gateway)


def _options(key: Path) -> tuple[str, ...]:
    settings = {
        "IdentityFile": key,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "no",
        "LogLevel": "ERROR",
        "BatchMode": "yes",
    }
    return tuple(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=_BANNER_S) as link:
            return link.recv(4) == b"SSH-"
    except OSError:
        return False
