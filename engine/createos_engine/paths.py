"""Every file and directory of an engine, in one place. Nothing else builds a path of these.

state_dir/                     0711: QEMU's user must pass through, nobody else may list
├── engine.db                  SQLite, the truth about sandboxes, users and tokens (0600)
├── instance                   four characters: the tag on every host object of this engine
├── probe.json                 which accelerator works here, see drivers/libvirt/probe.py
├── libvirt/                   root of the embedded libvirt driver, when that is used
└── sandboxes/<id>/            0711
    ├── overlay.qcow2          everything the sandbox wrote, on top of a base image of the cache
    ├── console.log            what its serial console printed
    └── manifest.json          enough to bring the sandbox back without the database (0600)
run_dir/
├── createosd.sock             the API
├── createosd.pid              pid of the daemon that owns state_dir
└── channels/<id>.sock         0700: QEMU listens here, the daemon is its only client (a socket path ends at 107 bytes)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SandboxPaths:
    """The files of one sandbox."""

    directory: Path
    channel: Path

    @property
    def overlay(self) -> Path:
        """The sandbox's own disk, a qcow2 file on top of a base image."""
        return self.directory / "overlay.qcow2"

    @property
    def console(self) -> Path:
        """The serial console's log."""
        return self.directory / "console.log"

    @property
    def manifest(self) -> Path:
        """The sandbox's row as JSON, for recovery without the database."""
        return self.directory / "manifest.json"


@dataclass(frozen=True)
class Paths:
    """The files of one engine."""

    state_dir: Path
    run_dir: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.state_dir / "engine.db"

    @property
    def instance(self) -> Path:
        """The file that holds the instance id."""
        return self.state_dir / "instance"

    @property
    def probe(self) -> Path:
        """The accelerator probe's cached result."""
        return self.state_dir / "probe.json"

    @property
    def libvirt_root(self) -> Path:
        """Root directory of the embedded libvirt driver."""
        return self.state_dir / "libvirt"

    @property
    def sandboxes(self) -> Path:
        """Parent of all sandbox directories."""
        return self.state_dir / "sandboxes"

    @property
    def api_socket(self) -> Path:
        """The unix socket of the API."""
        return self.run_dir / "createosd.sock"

    @property
    def pid_file(self) -> Path:
        """Locked by the daemon that owns the state directory."""
        return self.run_dir / "createosd.pid"

    @property
    def channels(self) -> Path:
        """Parent of all channel sockets."""
        return self.run_dir / "channels"

    def sandbox(self, sandbox_id: str) -> SandboxPaths:
        """Return the files of one sandbox."""
        return SandboxPaths(self.sandboxes / sandbox_id, self.channels / f"{sandbox_id}.sock")
