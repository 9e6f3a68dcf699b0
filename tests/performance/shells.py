"""One small program over a connection that stands: the API beside OpenSSH with ControlMaster into the same guest."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

from tests.performance.bench import Bench, Figure, timed
from tests.performance.openssh import started
from tests.vm.engine import Box

_EACH_ROUND = 4


def measure(bench: Bench) -> list[Figure]:
    """Return `exec true` beside `ssh host true`, to the guest's own server and to the gateway, in turn."""
    with started(bench) as sshd, _exec(sshd.box) as run:
        direct = _master((*sshd.options, sshd.at))
        gateway = _master(sshd.gateway)
        with direct as by_sshd, gateway as by_gateway:
            ways = (run, by_sshd, by_gateway)
            took = [[timed(way) for way in ways] for _ in range(_EACH_ROUND * bench.rounds)]
    ours, theirs, through = (median(column) for column in zip(*took, strict=True))
    return [
        Figure("exec true over a warm connection", ours, "ssh true, sshd in the guest", theirs, "≤ 0.5 ×"),
        Figure("exec true over a warm connection", ours, "ssh true, the gateway", through, "≤ 0.5 ×"),
    ]


@contextmanager
def _exec(box: Box) -> Iterator[Callable[[], None]]:
    """Yield what runs `true` over one connection to the API."""
    body = json.dumps({"cmd": "true"}).encode()
    with closing(_Local(str(box.engine.socket))) as link:

        def run() -> None:
            link.request("POST", f"/v1/sandboxes/{box.id}/exec", body, {"Content-Type": "application/json"})
            assert json.load(link.getresponse())["data"]["result"]["exit_code"] == 0

        run()
        yield run


@contextmanager
def _master(target: tuple[str, ...]) -> Iterator[Callable[[], None]]:
    """Yield what runs `true` over one connection of OpenSSH's client, which a first process keeps."""
    with tempfile.TemporaryDirectory() as place:
        control = ("-o", f"ControlPath={Path(place) / 'control'}")
        subprocess.run(["ssh", *control, "-o", "ControlMaster=yes", "-fN", *target], check=True, timeout=60)
        try:
            yield lambda: subprocess.run(["ssh", *control, *target, "true"], check=True, timeout=60) and None
        finally:
            subprocess.run(["ssh", *control, "-O", "exit", *target], check=True, capture_output=True, timeout=60)


class _Local(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)
