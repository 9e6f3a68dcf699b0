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


@dataclass(frozen=True)
class User:
    """Who is asking. `id` owns objects; `name` is for people."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True)
class Page:
    """A window over a list (wire-api 2.2); limit is already clamped to 1..500."""

    limit: int = 50
    offset: int = 0
