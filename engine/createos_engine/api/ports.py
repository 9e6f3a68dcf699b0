"""What the routes ask of the services. wiring.py puts the real ones in, tests put fakes in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from createos_engine.api.checkpoint_port import CheckpointPort
from createos_engine.api.disk_ports import AttachmentPort, DiskPort
from createos_engine.api.network_ports import BandwidthPort, EgressPort, IngressPort, NetworkPort, SshPort
from createos_engine.api.process_ports import ProcessPort, ShellPort
from createos_engine.api.sync_port import SyncPort
from createos_engine.duplex import Duplex
from createos_engine.template_words import BuildStatus, LogLine, NewTemplate, Template
from createos_engine.words import (
    AccessToken,
    Catalog,
    Command,
    CommandResult,
    Counts,
    Ended,
    Grant,
    Host,
    NewFork,
    NewSandbox,
    Output,
    Page,
    Readiness,
    Sandbox,
    SandboxChanges,
    Shape,
    State,
    User,
)


class SandboxPort(Protocol):
    """Sandboxes of one user. `ref` is an id or a name; a foreign or unknown one raises NotFound."""

    async def create(self, user: User, wanted: NewSandbox) -> Sandbox:
        """Return a running sandbox, or raise with nothing left behind."""

    async def get(self, user: User, ref: str) -> Sandbox:
        """Return one sandbox."""

    async def by_ip(self, user: User, ip: str) -> Sandbox:
        """Return the sandbox with this address."""

    async def list(self, user: User, page: Page, state: State | None) -> tuple[Sequence[Sandbox], int]:
        """Return the rows of a page, newest first, and how many match in all."""

    async def change(self, user: User, ref: str, changes: SandboxChanges) -> Sandbox:
        """Change what is given and return the sandbox; Conflict when it has ended."""

    async def delete(self, user: User, ref: str) -> Sandbox:
        """Begin (or repeat) the end of a sandbox; the answer is `destroying` or `destroyed`."""

    async def counts(self, user: User) -> Counts:
        """Count by state."""


class PausePort(Protocol):
    """Machines that are stopped with all they have in memory."""

    async def pause(self, user: User, ref: str) -> Sandbox:
        """Begin to pause; the answer is `pausing`, or `paused` when it was that already."""


class ResumePort(Protocol):
    """Paused machines that go on."""

    async def resume(self, user: User, ref: str, *, cold: bool = False) -> Sandbox:
        """Begin to resume; the answer is `resuming`, or `running` when it was that already."""


class ForkPort(Protocol):
    """Sandboxes made of paused ones."""

    async def fork(self, user: User, ref: str, wanted: NewFork) -> Sandbox:
        """Begin a fork; the answer is the new sandbox, `forking`."""


class WakePort(Protocol):
    """Sandboxes that idleness has paused."""

    async def wake(self, user: User, ref: str) -> None:
        """Let a sandbox run that was paused for being idle, and wait for it; any other stays as it is."""


class ExecPort(Protocol):
    """Programs in sandboxes."""

    async def run(self, user: User, ref: str, command: Command) -> CommandResult:
        """Run to the end and return bounded output. Cancelling the call ends the program."""

    async def stream(self, user: User, ref: str, command: Command) -> AsyncIterator[Output | Ended]:
        """Check and start, then return the events; the last is Ended. Closing the iterator ends the program."""


class CatalogPort(Protocol):
    """What can be asked for."""

    def shapes(self) -> Sequence[Shape]:
        """Return the sizes on offer."""

    def rootfs(self) -> Catalog:
        """Return the images on offer."""


class HealthPort(Protocol):
    """How this host is doing."""

    async def readiness(self) -> Readiness:
        """Return whether creates can work now."""

    async def host(self) -> Host:
        """Return this host's row."""


class AccountPort(Protocol):
    """Who is asking."""

    async def by_token(self, token: str) -> User:
        """Return the owner of a token, or raise Unauthenticated."""

    async def by_uid(self, uid: int) -> User:
        """Return the user for a local unix user id (the peer of the unix socket), made on first sight."""

    async def mint_token(self, user: User, label: str) -> str:
        """Return a new token of *user* in plain text; only its hash is kept."""


class AccessTokenPort(Protocol):
    """Delegated access tokens, at most one a sandbox."""

    async def create(self, user: User, ref: str) -> tuple[str, AccessToken]:
        """Return a new token in plain text and its record; Conflict when there is one already."""

    async def get(self, user: User, ref: str) -> AccessToken | None:
        """Return the record of a sandbox's token, None when it has none."""

    async def rotate(self, user: User, ref: str) -> tuple[str, AccessToken]:
        """Return a token in place of the present one; NotFound when there is none."""

    async def delete(self, user: User, ref: str) -> None:
        """End a sandbox's token; repeatable."""

    async def grant(self, token: str) -> Grant | None:
        """Return what a delegated token opens, None when this is not one."""

    async def pin(self, grant: Grant, ref: str) -> str:
        """Return the id of the sandbox that *ref* means if the grant is for it, else raise Forbidden."""


class ResizePort(Protocol):
    """Disks that grow."""

    async def resize(self, user: User, ref: str, disk_mib: int) -> Sandbox:
        """Return the running sandbox with its larger disk; Conflict, Invalid or Unavailable when that cannot be."""


class DownloadPort(Protocol):
    """A file on its way out. `size` is None for what has no size beforehand."""

    size: int | None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the content; raises when not all of it came."""

    async def close(self) -> None:
        """Let go of the file; repeatable."""


class FilePort(Protocol):
    """Files of sandboxes."""

    async def write(self, user: User, ref: str, path: str, size: int | None, source: AsyncIterator[bytes]) -> int:
        """Write *source* to *path*, whole or not at all, and return its size; *size* is None when nobody knows it."""

    async def read(self, user: User, ref: str, path: str) -> DownloadPort:
        """Open a file; NotFound, Invalid for what is none."""


class TunnelPort(Protocol):
    """A connection inside a guest that waits for its client."""

    async def carry(self, duplex: Duplex) -> None:
        """Connect the client, to the end of both; never fails."""


class TunnelsPort(Protocol):
    """Connections to ports inside sandboxes."""

    async def dial(self, user: User, ref: str, port: int) -> TunnelPort:
        """Return a tunnel that stands; NotListening when nobody takes the connection."""


class TemplatePort(Protocol):
    """Images of a user's own Dockerfiles. `ref` is an id or a name; a foreign or unknown one raises NotFound."""

    async def submit(self, user: User, wanted: NewTemplate) -> Template:
        """Check the file and queue its build."""

    async def get(self, user: User, ref: str) -> Template:
        """Return one template."""

    async def list(self, user: User, page: Page) -> tuple[Sequence[Template], int]:
        """Return the rows of a page, newest first, and how many there are."""

    async def delete(self, user: User, ref: str) -> Template:
        """Remove a template and end its build."""

    async def log(self, user: User, ref: str, attempt: int | None) -> Sequence[LogLine]:
        """Return what an attempt has printed so far."""

    async def follow(self, user: User, ref: str, attempt: int | None) -> AsyncIterator[LogLine | BuildStatus | None]:
        """Return the lines of an attempt as they come, None in silence, its status at the end."""


@dataclass(frozen=True)
class Services:
    """Everything the routes need. `region` is the server's region, `version` the engine's."""

    sandboxes: SandboxPort
    pauses: PausePort
    resumes: ResumePort
    forks: ForkPort
    wakes: WakePort
    checkpoints: CheckpointPort
    execs: ExecPort
    catalog: CatalogPort
    health: HealthPort
    accounts: AccountPort
    templates: TemplatePort
    networks: NetworkPort
    disks: DiskPort
    attachments: AttachmentPort
    ingress: IngressPort
    access_tokens: AccessTokenPort
    ssh: SshPort
    resizes: ResizePort
    files: FilePort
    tunnels: TunnelsPort
    egress: EgressPort
    bandwidth: BandwidthPort
    syncs: SyncPort
    processes: ProcessPort
    shells: ShellPort
    region: str
    version: str
