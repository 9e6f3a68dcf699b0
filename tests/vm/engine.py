"""A live createosd as tests see it: a process, its API, and what it leaves on the host."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.vm.found_out import FoundOut

LIVE = ("creating", "running", "destroying")
# Deadlines are what a quiet machine needs amply; a busy one may take so many times that.
READY_DEADLINE_S, _PATIENCE = 60.0, 5
_PLACES = ("/var/tmp", "/run")
_SUBNETS = itertools.count(79)  # of engines in one network namespace; 10.78 is of their private networks
_NOTHING_BEFOREHAND = {"golden_budget_mib": 0, "standbys": 0}
_found_out = FoundOut()


def wait_for(condition: Callable[[], Any], deadline_s: float, what: str) -> Any:
    """Return the first true answer of *condition*; AssertionError when none comes, not even late."""
    end = time.monotonic() + deadline_s * _PATIENCE
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {deadline_s * _PATIENCE} s")


class LiveEngine:
    """One state directory and the daemon that serves it, which can be killed and started again."""

    def __init__(self, **settings: object) -> None:
        # Not pytest's own directories: QEMU's user must be able to pass through every parent.
        self._directories = [tempfile.TemporaryDirectory(prefix="createos-test-", dir=place) for place in _PLACES]
        self.home, self._run = (Path(directory.name) for directory in self._directories)
        for directory in (self.home, self._run):
            directory.chmod(0o711)
        self.state = self.home / "state"
        self.log = self.home / "createosd.log"
        self.socket = self._run / "createosd.sock"
        subnets = next(_SUBNETS)
        own = {"subnet_v4": f"10.{subnets}.0.0/16", "subnet_v6": f"fd77:{subnets}::/64", **_NOTHING_BEFOREHAND}
        settings = {**own, **settings}
        self._settings = {f"CREATEOS_{name.upper()}": str(value) for name, value in settings.items()}
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://localhost", timeout=600
        )

    @property
    def environment(self) -> dict[str, str]:
        """What the command line needs to talk to this engine."""
        return {**os.environ, "CREATEOS_SOCKET": str(self.socket), "HOME": str(self.home)}

    @property
    def instance(self) -> str:
        """The tag on this engine's host objects."""
        return (self.state / "instance").read_text().strip()

    def start(self, *, wait: bool = True, die_at: str = "") -> None:
        """Start the daemon and wait until creates can work; with *die_at* it kills itself at that step."""
        program = ["tests.chaos.dying_daemon", die_at] if die_at else ["createos_engine.main", "serve"]
        environment = {
            **os.environ,
            **self._settings,
            "CREATEOS_STATE_DIR": str(self.state),
            "CREATEOS_RUN_DIR": str(self._run),
            "CREATEOS_LISTEN_PORT": "0",
            "CREATEOS_INGRESS_HTTPS_PORT": "0",
            "CREATEOS_INGRESS_HTTP_PORT": "0",
            "CREATEOS_SSH_PORT": "0",
            "CREATEOS_DEFAULT_ROOTFS": "busybox:1",
            "CREATEOS_LOG_LEVEL": "debug",
        }
        _found_out.give(self.state)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", *program], env=environment, stderr=log, stdout=log)
        if wait:
            wait_for(self._ready, READY_DEADLINE_S, f"createosd is not ready: {self.log_tail()}")
            _found_out.take(self.state)

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"createosd ended: {self.log_tail()}"
        with socket.socket(socket.AF_UNIX) as knock:
            if knock.connect_ex(str(self.socket)):
                return False
        return self.http.get("/readyz").status_code == 200

    def signal(self, number: signal.Signals) -> int:
        """Send a signal to the daemon and return its exit code once it has ended."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60 * _PATIENCE)

    def log_tail(self) -> str:
        """Return the end of the daemon's log."""
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the `data` of a successful call."""
        answer = self.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    def create(self, **wanted: object) -> Box:
        """Create a small sandbox."""
        return Box(self, self.call("POST", "/v1/sandboxes", {"shape": "s-1vcpu-256mb", "disk_mib": 512, **wanted}))

    def memory_mib(self, name: str = "VmRSS") -> float:
        """Return a figure of the daemon's memory; VmHWM is the most since `forget_peak`."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) / 1024

    def forget_peak(self) -> None:
        """Let VmHWM begin anew (proc(5), clear_refs)."""
        assert self.process is not None
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        """Return how many the daemon has open."""
        assert self.process is not None
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def rows(self) -> dict[str, str]:
        """Return the state of every sandbox, straight from the database."""
        with sqlite3.connect(f"file:{self.state / 'engine.db'}?mode=ro", uri=True) as database:
            return dict(database.execute("SELECT id, state FROM sandboxes"))

    def machines(self) -> dict[str, int]:
        """Return {sandbox id: pid} of this engine's QEMU processes."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                line = _read(entry / "cmdline")
                if f"guest=createos-{self.instance}-" in line:
                    found[line.split(f"guest=createos-{self.instance}-")[1].split(",")[0]] = int(entry.name)
        return found

    def capability_qemus(self) -> list[str]:
        """Return the pids of QEMUs that libvirt started to ask what they can do; they end at once."""
        mark = f"unix:{self.state}/libvirt/lib/qemu/qmp-"
        return [entry.name for entry in Path("/proc").iterdir() if mark in _read(entry / "cmdline")]

    def taps(self) -> set[str]:
        """Return this engine's network interfaces."""
        links = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout)
        return {link["ifname"] for link in links if link["ifname"].startswith(f"c{self.instance}-")}

    def private_links(self) -> set[str]:
        """Return the bridges of this engine's private networks and the ports on them."""
        links = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout)
        return {
            link["ifname"] for link in links if link["ifname"].startswith((f"c{self.instance}b", f"c{self.instance}p"))
        }

    def discrepancies(self) -> list[str]:
        """Return what the host has and no live sandbox owns, or the other way round."""
        live = {identity for identity, state in self.rows().items() if state in LIVE}
        kept = {identity for identity, state in self.rows().items() if state in (*LIVE, "error")}
        directories = {entry.name for entry in (self.state / "sandboxes").iterdir()}
        return [
            *(f"machine {identity}" for identity in self.machines().keys() ^ live),
            *(f"directory {name}" for name in directories ^ kept),
            *([f"links {self.taps()} for {live}"] if len(self.taps()) != len(live) else []),
        ]

    def remove_everything(self) -> None:
        """Destroy all sandboxes and stop the daemon."""
        for identity, state in self.rows().items():
            if state not in ("destroyed", "failed"):
                self.call("DELETE", f"/v1/sandboxes/{identity}")
        wait_for(lambda: set(self.rows().values()) <= {"destroyed", "failed"}, 30, "not everything was destroyed")
        for network in self.call("GET", "/v1/networks")["data"]:
            self.call("DELETE", f"/v1/networks/{network['id']}")
        if self.process and self.process.poll() is None:
            assert self.signal(signal.SIGTERM) == 0
        self.http.close()

    def leftovers(self) -> list[str]:
        """Return what is left of the engine's sandboxes on the host."""
        return [
            *self.capability_qemus(),
            *self.machines(),
            *self.taps(),
            *self.private_links(),
            *(entry.name for parent in ("sandboxes", "goldens") for entry in (self.state / parent).iterdir()),
        ]

    def forget(self) -> None:
        """Delete the engine's directories."""
        for directory in self._directories:
            directory.cleanup()


@contextmanager
def live_engine(*, die_at: str = "", **settings: object) -> Iterator[LiveEngine]:
    """Run a daemon with a state directory of its own; what it leaves behind after its end is an error."""
    engine = LiveEngine(**settings)
    engine.start(die_at=die_at)
    try:
        yield engine
    finally:
        engine.remove_everything()
    wait_for(lambda: not engine.leftovers(), 10, f"left behind: {engine.leftovers()}")
    engine.forget()


@dataclass
class Box:
    """A sandbox of a live engine."""

    engine: LiveEngine
    row: dict[str, Any]

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.row["id"])

    def view(self) -> dict[str, Any]:
        """Return its present view."""
        view: dict[str, Any] = self.engine.call("GET", f"/v1/sandboxes/{self.id}")
        return view

    def exec(self, cmd: str, *args: str, **more: object) -> dict[str, Any]:
        """Run a program to its end and return `result`."""
        body = {"cmd": cmd, "args": list(args), **more}
        result: dict[str, Any] = self.engine.call("POST", f"/v1/sandboxes/{self.id}/exec", body)["result"]
        return result

    def sh(self, line: str) -> str:
        """Return what a shell line prints; it must succeed."""
        result = self.exec("/bin/sh", "-c", line)
        assert result["exit_code"] == 0, result
        return str(result["stdout"])

    def awaits(self, command: str) -> None:
        """Wait until the guest runs a program with this command line, whoever has started it."""
        wait_for(lambda: f" {command}\n" in self.sh("ps"), 30, f"{command} does not run")

    @contextmanager
    def stream(self, cmd: str, *args: str) -> Iterator[Iterator[dict[str, Any]]]:
        """Run a program and yield its frames as they come."""
        body = {"cmd": cmd, "args": list(args), "stream": True}
        with self.engine.http.stream("POST", f"/v1/sandboxes/{self.id}/exec", json=body) as answer:
            yield (json.loads(line) for line in answer.iter_lines())

    def tunnel(self, port: int) -> socket.socket:
        """Return a connection to a port of the guest's loopback."""
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(60 * _PATIENCE)
        link.connect(str(self.engine.socket))
        head = f"POST /v1/sandboxes/{self.id}/tunnel/{port} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        link.sendall(f"{head}Upgrade: tcp-tunnel\r\nContent-Length: 0\r\n\r\n".encode())
        assert link.recv(4096).startswith(b"HTTP/1.1 101 ")
        return link

    def pause(self) -> None:
        """Pause it and wait until it is."""
        self.engine.call("POST", f"/v1/sandboxes/{self.id}/pause")
        self.reach("paused")

    def resume(self) -> None:
        """Resume it and wait until it runs."""
        self.engine.call("POST", f"/v1/sandboxes/{self.id}/resume")
        self.reach("running")

    def reach(self, state: str) -> None:
        """Wait until its row is in a state."""
        wait_for(lambda: self.engine.rows()[self.id] == state, 60, f"{self.id} is not {state}")

    def destroy(self) -> None:
        """Delete it and wait until it is gone."""
        self.engine.call("DELETE", f"/v1/sandboxes/{self.id}")
        wait_for(lambda: self.engine.rows()[self.id] == "destroyed", 30, f"{self.id} was not destroyed")


def _read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
