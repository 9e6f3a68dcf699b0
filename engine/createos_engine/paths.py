"""Every file and directory of an engine, in one place. Nothing else builds a path of these.

state_dir/                     0711: QEMU's user must pass through, nobody else may list
├── engine.db                  SQLite, the truth about sandboxes, users and tokens (0600)
├── instance                   four characters: the tag on every host object of this engine
├── ingress/                   0700: the authority of public URLs, ca.pem and ca.key (0600)
├── ssh_host_ed25519_key       the SSH gateway's own key, made once (0600)
├── disks.key                  what seals the keys of S3 disks, made with the first one (0600)
├── probe.json                 which accelerator works here, see drivers/libvirt/probe.py
├── libvirt/                   root of the embedded libvirt driver, when that is used
├── sandboxes/<id>/            0711
│   ├── overlay.qcow2          what the sandbox wrote, on top of a base image of the cache or of a layer
│   ├── console.log            what its serial console printed
│   └── manifest.json          enough to bring the sandbox back without the database (0600)
├── snapshots/                 0700: machines that were stopped with all they had in memory
│   ├── <id>.partial/          one that is being written
│   └── <id>/                  of a sandbox, by its id, or a golden one
│       ├── memory             libvirt's save image; forks of one source share it as hard links
│       └── manifest.json      what belongs to it: disk, digests, and what it can be restored with
├── goldens/<id>/              0711: disk and console of a golden snapshot while it is built
├── builds/<id>/               0711: disk and console of the machine that a template is built in
├── layers/<id>.qcow2          0710, of QEMU's group: frozen disks, which overlays and snapshots stand on
└── templates/<id>/<n>.log    what attempt n to build a template printed, JSON lines (0600)
run_dir/
├── createosd.sock             the API
├── createosd.pid              pid of the daemon that owns state_dir
└── channels/                  0700
    ├── <id>.sock              QEMU listens here, the daemon is its only client (a socket path ends at 107 bytes)
    └── <id>.restore           a pipe while a machine is being restored
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GOLDEN_PREFIX = "gold-"
BUILD_PREFIX = "build-"


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

    @property
    def restore_pipe(self) -> Path:
        """Through here libvirt gets a memory image."""
        return self.channel.with_suffix(".restore")


@dataclass(frozen=True)
class SnapshotPaths:
    """The files of one snapshot."""

    directory: Path

    @property
    def memory(self) -> Path:
        """Memory and devices, as libvirt saved them."""
        return self.directory / "memory"

    @property
    def manifest(self) -> Path:
        """What belongs to it and what it can be restored with."""
        return self.directory / "manifest.json"

    @property
    def partial(self) -> SnapshotPaths:
        """The same files while they are being written."""
        return SnapshotPaths(self.directory.with_name(f"{self.directory.name}.partial"))


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
    def ingress(self) -> Path:
        """Where the authority of public URLs is kept."""
        return self.state_dir / "ingress"

    @property
    def probe(self) -> Path:
        """The accelerator probe's cached result."""
        return self.state_dir / "probe.json"

    @property
    def ssh_host_key(self) -> Path:
        """The SSH gateway's own key."""
        return self.state_dir / "ssh_host_ed25519_key"

    @property
    def disk_key(self) -> Path:
        """What seals the keys of S3 disks."""
        return self.state_dir / "disks.key"

    @property
    def libvirt_root(self) -> Path:
        """Root directory of the embedded libvirt driver."""
        return self.state_dir / "libvirt"

    @property
    def sandboxes(self) -> Path:
        """Parent of all sandbox directories."""
        return self.state_dir / "sandboxes"

    @property
    def snapshots(self) -> Path:
        """Parent of all snapshots."""
        return self.state_dir / "snapshots"

    @property
    def goldens(self) -> Path:
        """Parent of the directories in which golden snapshots are built."""
        return self.state_dir / "goldens"

    @property
    def builds(self) -> Path:
        """Parent of the directories of machines in which templates are built."""
        return self.state_dir / "builds"

    @property
    def layers(self) -> Path:
        """Where the frozen disks are."""
        return self.state_dir / "layers"

    @property
    def build_logs(self) -> Path:
        """What builds have printed: a directory for each template."""
        return self.state_dir / "templates"

    def build_log(self, template_id: str, attempt: int) -> Path:
        """Return the log of an attempt to build a template."""
        return self.build_logs / template_id / f"{attempt}.log"

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
        """Return the files of one sandbox, or of a machine that is none: of a golden snapshot or a build."""
        parents = {GOLDEN_PREFIX: self.goldens, BUILD_PREFIX: self.builds}
        parent = parents.get(f"{sandbox_id.partition('-')[0]}-", self.sandboxes)
        return SandboxPaths(parent / sandbox_id, self.channels / f"{sandbox_id}.sock")

    def snapshot(self, snapshot_id: str) -> SnapshotPaths:
        """Return the files of one snapshot."""
        return SnapshotPaths(self.snapshots / snapshot_id)

    def layer(self, layer_id: str) -> Path:
        """Return the file of one frozen disk."""
        return self.layers / f"{layer_id}.qcow2"
