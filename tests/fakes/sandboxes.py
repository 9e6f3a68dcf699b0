"""Sandboxes that are rows, and who may have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from createos_engine.errors import Invalid, NotFound
from createos_engine.lifecycle import TERMINAL, move, require_alive, require_running
from createos_engine.words import (
    Catalog,
    CatalogEntry,
    Counts,
    NewSandbox,
    Page,
    Sandbox,
    SandboxChanges,
    Shape,
    State,
    User,
)

from tests.fakes.rows import NOON, sandbox

KEY = "skp_test"
ALICE = User("usr-1", "tester", NOON)
BOB = User("usr-2", "bob", NOON)
SHAPES = (
    Shape("s-1vcpu-256mb", 1, 256, 10240, cpu_quota_pct=50),
    Shape("s-2vcpu-2gb", 2, 2048, 10240),
)
CATALOG = Catalog(
    (
        CatalogEntry("devbox:1", "Debian with tools."),
        CatalogEntry("busybox:1", "Small.", deprecated=True, successor="devbox:1"),
    ),
    default="devbox:1",
)


class FakeSandboxes:
    """Rows in a dict. A create makes them `running`; `refuse` is raised by the next create."""

    def __init__(self) -> None:
        self.rows: dict[str, Sandbox] = {}
        self.wanted: list[NewSandbox] = []
        self.pages: list[tuple[Page, State | None]] = []
        self.refuse: Exception | None = None

    def add(self, row: Sandbox) -> Sandbox:
        """Put a row there without asking anybody."""
        self.rows[row.id] = row
        return row

    async def create(self, user: User, wanted: NewSandbox) -> Sandbox:
        """Make a running row at once."""
        self.wanted.append(wanted)
        if self.refuse:
            raise self.refuse
        shape = next((shape for shape in SHAPES if shape.id == wanted.shape), None)
        if shape is None:
            raise Invalid(f"unknown shape: {wanted.shape}", hint="createos sandbox shapes", field="shape")
        number = len(self.rows) + 1
        return self.add(
            sandbox(
                id=f"sb-{number:026d}",
                user_id=user.id,
                name=wanted.name or f"calm-otter-{number}",
                state=State.RUNNING,
                shape=shape.id,
                rootfs=wanted.rootfs or CATALOG.default,
                vcpu=shape.vcpu,
                mem_mib=shape.mem_mib,
                disk_mib=wanted.disk_mib or shape.default_disk_mib,
                slot=number,
                ip=f"10.77.0.{number}",
                envs=dict(wanted.envs),
                ssh_pubkeys=wanted.ssh_pubkeys,
                ingress_enabled=wanted.ingress_enabled,
                egress=wanted.egress,
                running_at=NOON + timedelta(milliseconds=1234.567),
                spawn_ms=1234.5,
            )
        )

    async def get(self, user: User, ref: str) -> Sandbox:
        """Return a row of this user by id or name."""
        for row in self.rows.values():
            if row.user_id == user.id and ref in (row.id, row.name):
                return row
        raise NotFound("sandbox not found")

    async def by_ip(self, user: User, ip: str) -> Sandbox:
        """Return a live row of this user by address."""
        for row in self.rows.values():
            if row.user_id == user.id and row.ip == ip and row.state not in TERMINAL:
                return row
        raise NotFound("sandbox not found")

    async def list(self, user: User, page: Page, state: State | None) -> tuple[Sequence[Sandbox], int]:
        """Return the newest rows first."""
        self.pages.append((page, state))
        mine = [row for row in reversed(self.rows.values()) if row.user_id == user.id and state in (None, row.state)]
        return mine[page.offset : page.offset + page.limit], len(mine)

    async def change(self, user: User, ref: str, changes: SandboxChanges) -> Sandbox:
        """Change what is given."""
        row = await self.get(user, ref)
        require_alive(row.state)
        pause_s = changes.auto_pause_after_seconds or (
            None if changes.disable_auto_pause else row.auto_pause_after_seconds
        )
        ingress = row.ingress_enabled if changes.ingress_enabled is None else changes.ingress_enabled
        return self.add(replace(row, ingress_enabled=ingress, auto_pause_after_seconds=pause_s))

    async def resize(self, user: User, ref: str, disk_mib: int) -> Sandbox:
        """Grow a disk."""
        row = await self.get(user, ref)
        require_running(row.state)
        if disk_mib <= row.disk_mib:
            raise Invalid(f"the disk has {row.disk_mib} MiB and can only grow", hint="ask for more", field="disk_mib")
        return self.add(replace(row, disk_mib=disk_mib))

    async def delete(self, user: User, ref: str) -> Sandbox:
        """Answer `destroying` the first time and `destroyed` from then on."""
        row = await self.get(user, ref)
        if row.state in TERMINAL:
            return row
        ending = replace(row, state=move(row.state, State.DESTROYING))
        self.add(replace(ending, state=State.DESTROYED, destroyed_at=NOON))
        return ending

    async def counts(self, user: User) -> Counts:
        """Count what is not destroyed."""
        states = [row.state for row in self.rows.values() if row.user_id == user.id and row.state not in TERMINAL]
        running, paused = states.count(State.RUNNING), states.count(State.PAUSED)
        return Counts(running, paused, len(states) - running - paused)
