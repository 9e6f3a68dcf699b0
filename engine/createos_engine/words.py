"""The words of the domain as plain data. No behaviour, no imports of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """The ten states of a sandbox; the set is closed (wire-api 5.5)."""

    CREATING = "creating"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    FORKING = "forking"
    ERROR = "error"
    DESTROYING = "destroying"
    DESTROYED = "destroyed"
    FAILED = "failed"


class Accelerator(StrEnum):
    """How QEMU executes guest code."""

    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True)
class Shape:
    """A size that can be asked for. `cpu_quota_pct` is percent of one CPU, None = unlimited."""

    id: str
    vcpu: int
    mem_mib: int
    default_disk_mib: int
    cpu_quota_pct: int | None = None


@dataclass(frozen=True)
class ImageConfig:
    """What an image says about running programs in it (the Dockerfile's Env, WorkingDir, User, …)."""

    env: dict[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    user: str = "root"
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sandbox:
    """One virtual machine with identity, as the store knows it. Times are UTC.

    `envs` holds names and values; only names ever leave the engine. `reason` says why the state is `error` or
    `failed`. `slot` is the number from which interface, MAC and addresses are derived (netconfig addresses).
    `has_memory` says that the snapshot of this id is valid, `auto_paused` that idleness paused it. `receipt` is what
    the agent of a fork confirmed: names of what was renewed and their values, and when.
    """

    id: str
    user_id: str
    name: str
    state: State
    shape: str
    rootfs: str
    vcpu: int
    mem_mib: int
    disk_mib: int
    base_digest: str
    image: ImageConfig
    slot: int
    ip: str
    created_at: datetime
    created_by: str
    envs: dict[str, str] = field(default_factory=dict)
    ssh_pubkeys: tuple[str, ...] = ()
    egress: tuple[str, ...] = ()
    ingress_enabled: bool = False
    auto_pause_after_seconds: int | None = None
    running_at: datetime | None = None
    destroyed_at: datetime | None = None
    spawn_ms: float | None = None
    reason: str = ""
    paused_at: datetime | None = None
    last_resumed_at: datetime | None = None
    forked_from: str = ""
    auto_paused: bool = False
    has_memory: bool = False
    receipt: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NewFork:
    """What a fork asks for; None means "as the source has it" (wire-api 5.4)."""

    start_paused: bool = False
    ssh_pubkeys: tuple[str, ...] | None = None
    egress: tuple[str, ...] | None = None
    ingress_enabled: bool | None = None
    envs: dict[str, str] | None = None


@dataclass(frozen=True)
class User:
    """Who is asking. `id` owns objects; `name` is for people."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True)
class AccessToken:
    """What is known of a sandbox's delegated access token; `hint` is how it begins and ends (wire-api 4.3)."""

    hint: str
    created_at: datetime
    rotated_at: datetime | None = None


@dataclass(frozen=True)
class Grant:
    """What a delegated access token opens: one sandbox of its owner."""

    owner: User
    sandbox_id: str


@dataclass(frozen=True)
class Page:
    """A window over a list (wire-api 2.2); limit is already clamped to 1..500."""

    limit: int = 50
    offset: int = 0


@dataclass(frozen=True)
class WantedDisk:
    """A disk, by id or name, that a sandbox is to have at a path from the start; `sub_path` is empty for all of it."""

    ref: str
    mount_path: str
    sub_path: str = ""


@dataclass(frozen=True)
class NewSandbox:
    """What a create asks for, after its form was checked and before its meaning is (wire-api 5.1).

    `cold` boots the machine even if there is a golden snapshot. `disk_mib` 0 means the default of the shape, an empty
    `name` or `rootfs` means "choose for me". `disks`, `ingress_enabled` and `auto_pause_after_seconds` are carried so
    that the service can refuse what it cannot give.
    """

    shape: str
    name: str = ""
    rootfs: str = ""
    disk_mib: int = 0
    ssh_pubkeys: tuple[str, ...] = ()
    envs: dict[str, str] = field(default_factory=dict)
    ingress_enabled: bool = False
    networks: tuple[str, ...] = ()
    disks: tuple[WantedDisk, ...] = ()
    egress: tuple[str, ...] = ()
    auto_pause_after_seconds: int | None = None
    region: str = ""
    host_id: str = ""
    node_selector: dict[str, str] = field(default_factory=dict)
    bandwidth_quota_bytes: int = 0
    cold: bool = False


@dataclass(frozen=True)
class SandboxChanges:
    """What a PATCH changes (wire-api 5.4); None leaves a thing as it is."""

    ingress_enabled: bool | None = None
    auto_pause_after_seconds: int | None = None
    disable_auto_pause: bool = False


@dataclass(frozen=True)
class Command:
    """A program to run in a sandbox. `env` only overrides keys declared at create (wire-api 7.1)."""

    cmd: str
    args: tuple[str, ...] = ()
    stdin: bytes = b""
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CommandResult:
    """How a buffered command ended. `error` says why it could not be started or what of its output is missing."""

    stdout: bytes
    stderr: bytes
    exit_code: int
    exec_ms: float
    error: str = ""


@dataclass(frozen=True)
class Terminal:
    """A pseudo terminal to run a program on: its size in characters (1 to 65,535) and its type."""

    rows: int = 24
    cols: int = 80
    term: str = ""


@dataclass(frozen=True)
class Output:
    """A piece of what a streamed command wrote; `stream` is 1 for stdout, 2 for stderr."""

    stream: int
    data: bytes


@dataclass(frozen=True)
class Ended:
    """The last event of a streamed command; `error` is set when it could not be started or was lost."""

    exit_code: int
    error: str = ""


@dataclass(frozen=True)
class CatalogEntry:
    """A built-in root file system that can be asked for by name."""

    name: str
    description: str
    deprecated: bool = False
    successor: str = ""


@dataclass(frozen=True)
class Catalog:
    """The root file systems on offer and the one used when none is named."""

    entries: tuple[CatalogEntry, ...]
    default: str


@dataclass(frozen=True)
class Readiness:
    """Whether creates can work now, and in one sentence why not. `notes` are facts such as the accelerator in use."""

    ready: bool
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Host:
    """This machine as a place for sandboxes. `status` is active, draining or dead (wire-api 6)."""

    id: str
    status: str
    free_mib: int
    vm_count: int
    rootfses: tuple[str, ...]
    accelerator: Accelerator


@dataclass(frozen=True)
class SshGateway:
    """Where SSH is listened for and the key clients know it by; a `reason` says why it is not (yet)."""

    host: str
    port: int
    host_key: str = ""
    fingerprint: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Counts:
    """A user's non-destroyed sandboxes by state (wire-api 4.2)."""

    running: int
    paused: int
    other: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.running + self.paused + self.other
