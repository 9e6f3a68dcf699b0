"""The services in memory: sandboxes are rows, programs are a few words this file knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from createos_engine.api.ports import (
    AccessTokenPort,
    AccountPort,
    CatalogPort,
    ExecPort,
    HealthPort,
    SandboxPort,
    Services,
)
from createos_engine.errors import Invalid, NotFound, Unauthenticated
from createos_engine.lifecycle import TERMINAL, move, require_running
from createos_engine.words import (
    Accelerator,
    Catalog,
    CatalogEntry,
    Command,
    CommandResult,
    Counts,
    Ended,
    Host,
    NewSandbox,
    Output,
    Page,
    Readiness,
    Sandbox,
    Shape,
    State,
    User,
)

from tests.fakes.access_tokens import FakeAccessTokens
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


class FakeExecs:
    """Programs: `echo WORDS`, `cat`, `env`, `exit N`, `hang`; `sh -c` takes one of them. `script` overrides all."""

    def __init__(self, sandboxes: FakeSandboxes) -> None:
        self._sandboxes = sandboxes
        self.commands: list[Command] = []
        self.script: list[Output | Ended | Exception | float] | None = None
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self, user: User, ref: str, command: Command) -> CommandResult:
        """Collect what the stream would say."""
        kept = {1: b"", 2: b""}
        last = Ended(0)
        async for event in await self.stream(user, ref, command):
            if isinstance(event, Output):
                kept[event.stream] += event.data
            else:
                last = event
        return CommandResult(kept[1], kept[2], last.exit_code, 12.345, last.error)

    async def stream(self, user: User, ref: str, command: Command) -> AsyncIterator[Output | Ended]:
        """Check, then return the events."""
        row = await self._sandboxes.get(user, ref)
        require_running(row.state)
        if unknown := sorted(set(command.env) - set(row.envs)):
            raise Invalid(f"{unknown[0]} was not declared when the sandbox was created", field="env")
        self.commands.append(command)
        script = _program(row, command) if self.script is None else self.script
        return self._play(script)

    async def _play(self, script: Sequence[Output | Ended | Exception | float]) -> AsyncIterator[Output | Ended]:
        self.begun.set()
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.ended.set()


def _program(row: Sandbox, command: Command) -> list[Output | Ended | Exception | float]:
    words = [command.cmd, *command.args]
    if words[0] == "sh":
        words = words[2].split()
    match words:
        case ["echo", *rest]:
            return [Output(1, " ".join(rest).encode() + b"\n"), Ended(0)]
        case ["cat"]:
            return [Output(1, command.stdin), Ended(0)]
        case ["env"]:
            lines = sorted(f"{key}={value}\n" for key, value in {**row.envs, **command.env}.items())
            return [Output(1, "".join(lines).encode()), Ended(0)]
        case ["exit", code]:
            return [Output(2, b"failing\n"), Ended(int(code))]
        case ["hang"]:
            return [3600.0, Ended(0)]
    return [Ended(127, error=f"{words[0]}: no such program")]


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
        self.execs = FakeExecs(self.sandboxes)
        self.access_tokens = FakeAccessTokens(self.sandboxes)

    @property
    def services(self) -> Services:
        """The services as the app takes them; mypy holds the fakes to the ports here."""
        sandboxes: SandboxPort = self.sandboxes
        execs: ExecPort = self.execs
        catalog: CatalogPort = self.catalog
        health: HealthPort = self.health
        accounts: AccountPort = self.accounts
        access_tokens: AccessTokenPort = self.access_tokens
        return Services(
            sandboxes=sandboxes,
            execs=execs,
            catalog=catalog,
            health=health,
            accounts=accounts,
            access_tokens=access_tokens,
            region="local",
            version="0.0.0",
        )
