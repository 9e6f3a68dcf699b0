"""The services in memory: sandboxes are rows, programs are a few words this file knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from createos_engine.api.checkpoint_port import CheckpointPort
from createos_engine.api.disk_ports import AttachmentPort, DiskPort
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
    WakePort,
)
from createos_engine.api.process_ports import ProcessPort, ShellPort
from createos_engine.api.sync_port import SyncPort
from createos_engine.errors import Unauthenticated
from createos_engine.words import (
    Accelerator,
    Catalog,
    Host,
    Readiness,
    Shape,
    User,
)

from tests.fakes.access_tokens import FakeAccessTokens
from tests.fakes.checkpoints import FakeCheckpoints
from tests.fakes.disks import FakeAttachments, FakeDisks
from tests.fakes.execs import FakeExecs
from tests.fakes.ingress import FakeIngress
from tests.fakes.networks import FakeNetworks
from tests.fakes.processes import FakeProcesses
from tests.fakes.rows import NOON
from tests.fakes.sandboxes import ALICE, BOB, CATALOG, KEY, SHAPES, FakeSandboxes
from tests.fakes.shells import FakeShells
from tests.fakes.snapshots import FakeSnapshots
from tests.fakes.ssh import FakeSsh
from tests.fakes.templates import FakeTemplates

__all__ = ["ALICE", "BOB", "CATALOG", "KEY", "SHAPES", "FakeSandboxes", "FakeWorld"]


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
        self.checkpoints = FakeCheckpoints(self.sandboxes, self.snapshots)
        self.access_tokens = FakeAccessTokens(self.sandboxes)
        self.networks = FakeNetworks(self.sandboxes)
        self.disks = FakeDisks()
        self.attachments = FakeAttachments(self.sandboxes, self.disks)
        self.templates = FakeTemplates()
        self.ssh = FakeSsh(self.sandboxes.rows)
        self.processes = FakeProcesses(self.sandboxes)
        self.shells = FakeShells(self.sandboxes)

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
        wakes: WakePort = self.snapshots
        checkpoints: CheckpointPort = self.checkpoints
        access_tokens: AccessTokenPort = self.access_tokens
        resizes: ResizePort = self.sandboxes
        files: FilePort = self.files
        tunnels: TunnelsPort = self.tunnels
        syncs: SyncPort = self.syncs
        networks: NetworkPort = self.networks
        disks: DiskPort = self.disks
        attachments: AttachmentPort = self.attachments
        ingress: IngressPort = FakeIngress()
        templates: TemplatePort = self.templates
        egress: EgressPort = self.egress
        bandwidth: BandwidthPort = self.bandwidth
        ssh: SshPort = self.ssh
        processes: ProcessPort = self.processes
        shells: ShellPort = self.shells
        return Services(
            sandboxes=sandboxes,
            pauses=pauses,
            resumes=resumes,
            forks=forks,
            wakes=wakes,
            checkpoints=checkpoints,
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
            disks=disks,
            attachments=attachments,
            ingress=ingress,
            templates=templates,
            egress=egress,
            bandwidth=bandwidth,
            ssh=ssh,
            processes=processes,
            shells=shells,
            region="local",
            version="0.0.0",
        )
