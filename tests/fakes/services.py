"""The services in memory: sandboxes are rows, programs are a few words this file knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from createos_engine.api.network_ports import BandwidthPort, EgressPort, IngressPort, NetworkPort
from createos_engine.api.ports import (
    AccessTokenPort,
    AccountPort,
    CatalogPort,
    ExecPort,
    FilePort,
    ForkPort,
    HealthPort,
    PausePort,
    ResizePort,
    ResumePort,
    SandboxPort,
    Services,
    SshPort,
    TemplatePort,
    TunnelsPort,
)
from createos_engine.api.sync_port import SyncPort
from createos_engine.errors import Invalid, NotFound, Unauthenticated
from createos_engine.lifecycle import TERMINAL, move, require_alive, require_running
from createos_engine.words import (
    Accelerator,
    Catalog,
    CatalogEntry,
    Counts,
    Host,
    NewSandbox,
    Page,
    Readiness,
    Sandbox,
    SandboxChanges,
    Shape,
    State,
    User,
)

from tests.fakes.access_tokens import FakeAccessTokens
from tests.fakes.execs import FakeExecs
from tests.fakes.ingress import FakeIngress
from tests.fakes.networks import FakeNetworks
from tests.fakes.rows import NOON, sandbox
from tests.fakes.snapshots import FakeSnapshots
from tests.fakes.ssh import FakeSsh
from tests.fakes.templates import FakeTemplates

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


class FakeCatalog:
    """Two shapes, two images."""

    def shapes(self) -> Sequence[Shape]:
        """Return the sizes on offer."""
        return SHAPES

    def rootfs(self) -> Catalog:
        """Return the images on offer."""
        return CATALOG


class FakeHealth:
    """A host in the state a test wants; `bug` is raised when readiness is asked for."""

    def __init__(self) -> None:
        self.state = Readiness(True, notes=("accelerator tcg: no /dev/kvm",))
        self.bug: Exception | None = None

    async def readiness(self) -> Readiness:
        """Return what the test said."""
        if self.bug:
            raise self.bug
        return self.state

    async def host(self) -> Host:
        """Return this host's row."""
        return Host("host-here", "active", 4096, 1, ("busybox:1", "devbox:1"), Accelerator.TCG)


class FakeAccounts:
    """Two users with a key each; every local uid is a user too."""

    def __init__(self) -> None:
        self.tokens = {KEY: ALICE, "skp_bob": BOB}

    async def by_token(self, token: str) -> User:
        """Return the owner."""
        if token not in self.tokens:
            raise Unauthenticated("invalid api key", hint="createos login", field="auth")
        return self.tokens[token]

    async def by_uid(self, uid: int) -> User:
        """Return a user named after the number."""
        return User(f"usr-local-{uid}", f"uid {uid}", NOON)

    async def mint_token(self, user: User, label: str) -> str:
        """Return the next token."""
        token = f"skp_minted_{len(self.tokens)}"
        self.tokens[token] = user
        return token


@dataclass
class FakeWorld:
    """Everything behind the routes, open to the test."""

    sandboxes: FakeSandboxes = field(default_factory=FakeSandboxes)
    catalog: FakeCatalog = field(default_factory=FakeCatalog)
    health: FakeHealth = field(default_factory=FakeHealth)
    accounts: FakeAccounts = field(default_factory=FakeAccounts)

    def __post_init__(self) -> None:
        # These need the sandboxes of this file.
        from tests.fakes.egress import FakeBandwidth, FakeEgress
        from tests.fakes.files import FakeFiles, FakeTunnels
        from tests.fakes.syncs import FakeSyncs

        self.egress = FakeEgress(self.sandboxes)
        self.bandwidth = FakeBandwidth(self.sandboxes)
        self.files = FakeFiles(self.sandboxes)
        self.syncs = FakeSyncs(self.sandboxes)
        self.tunnels = FakeTunnels(self.sandboxes)
        self.execs = FakeExecs(self.sandboxes)
        self.snapshots = FakeSnapshots(self.sandboxes)
        self.access_tokens = FakeAccessTokens(self.sandboxes)
        self.networks = FakeNetworks(self.sandboxes)
        self.templates = FakeTemplates()
        self.ssh = FakeSsh(self.sandboxes.rows)

    @property
    def services(self) -> Services:
        """The services as the app takes them; mypy holds the fakes to the ports here."""
        sandboxes: SandboxPort = self.sandboxes
        execs: ExecPort = self.execs
        catalog: CatalogPort = self.catalog
        health: HealthPort = self.health
        accounts: AccountPort = self.accounts
        pauses: PausePort = self.snapshots
        resumes: ResumePort = self.snapshots
        forks: ForkPort = self.snapshots
        access_tokens: AccessTokenPort = self.access_tokens
        resizes: ResizePort = self.sandboxes
        files: FilePort = self.files
        tunnels: TunnelsPort = self.tunnels
        syncs: SyncPort = self.syncs
        networks: NetworkPort = self.networks
        ingress: IngressPort = FakeIngress()
        templates: TemplatePort = self.templates
        egress: EgressPort = self.egress
        bandwidth: BandwidthPort = self.bandwidth
        ssh: SshPort = self.ssh
        return Services(
            sandboxes=sandboxes,
            pauses=pauses,
            resumes=resumes,
            forks=forks,
            execs=execs,
            catalog=catalog,
            health=health,
            accounts=accounts,
            access_tokens=access_tokens,
            resizes=resizes,
            files=files,
            tunnels=tunnels,
            syncs=syncs,
            networks=networks,
            ingress=ingress,
            templates=templates,
            egress=egress,
            bandwidth=bandwidth,
            ssh=ssh,
            region="local",
            version="0.0.0",
        )
