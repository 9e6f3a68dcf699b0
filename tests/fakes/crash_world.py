"""An engine whose every moment can be photographed: its files, its database, its host. A photograph can be lived on."""

from __future__ import annotations

import asyncio
import copy
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from createos_engine.errors import EngineError
from createos_engine.instance import make_directories
from createos_engine.paths import Paths
from createos_engine.services.background import Background
from createos_engine.services.checkpoints import Checkpoints
from createos_engine.services.drafts import Drafts
from createos_engine.services.forks import Forks
from createos_engine.services.layers import Layers
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.losses import Losses
from createos_engine.services.machines import Machines
from createos_engine.services.pauses import Pauses
from createos_engine.services.plan import Plan
from createos_engine.services.progress import Progress
from createos_engine.services.reconcile import Reconciler
from createos_engine.services.remains import Remains
from createos_engine.services.resumes import Resumes
from createos_engine.services.sandboxes import Sandboxes
from createos_engine.services.snapshots import Snapshots
from createos_engine.settings import Settings
from createos_engine.store.accounts import AccountStore
from createos_engine.store.checkpoints import CheckpointStore
from createos_engine.store.database import Database
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.wiring_goldens import make_starts
from createos_engine.words import NewSandbox, Sandbox, State, User

from tests.fakes.lasting_host import INSTANCE, LastingAgents, LastingHypervisor, LastingIdentities, LastingNetwork
from tests.fakes.machines import FILES
from tests.fakes.moments import HostState, Moments
from tests.fakes.no_disks import NoDisks
from tests.fakes.qcow2_files import FakeDisks, write
from tests.fakes.rows import sandbox

_MOVING = frozenset({State.CREATING, State.PAUSING, State.RESUMING, State.FORKING, State.DESTROYING})
_TURNS = 20


@dataclass(frozen=True)
class _File:
    inode: int
    content: bytes


@dataclass(frozen=True)
class Photo:
    """Everything that is still there when the daemon is gone at one moment."""

    number: int
    moment: str
    files: dict[Path, _File | None]
    database: bytes
    host: HostState

    @classmethod
    def take(cls, number: int, moment: str, directory: Path, host: HostState) -> Photo:
        """Read every file; a directory is None."""
        files: dict[Path, _File | None] = {}
        for path in sorted(directory.rglob("*")):
            if path.is_dir():
                files[path] = None
            elif not path.name.startswith("engine.db"):
                files[path] = _File(path.stat().st_ino, path.read_bytes())
        with closing(sqlite3.connect(directory / "engine.db")) as database:
            return cls(number, moment, files, database.serialize(), copy.deepcopy(host))

    def shows_the_same_as(self, other: Photo) -> bool:
        """Tell whether nothing lay between two moments."""
        return (self.files, self.database, self.host) == (other.files, other.database, other.host)

    def restore(self, directory: Path) -> HostState:
        """Put every file back in its place, hard links as hard links, and return the host."""
        shutil.rmtree(directory)
        directory.mkdir()
        (directory / "engine.db").write_bytes(self.database)
        made: dict[int, Path] = {}
        for path, file in self.files.items():
            if file is None:
                path.mkdir()
            elif file.inode in made:
                os.link(made[file.inode], path)
            else:
                path.write_bytes(file.content)
                made[file.inode] = path
        return copy.deepcopy(self.host)


class WatchedDatabase(Database):
    """A database after whose every commit there is a moment."""

    def __init__(self, path: Path, come_by: Callable[[str], None]) -> None:
        super().__init__(path)
        self._come_by = come_by

    async def write(self, change: Callable[[sqlite3.Connection], Any]) -> Any:
        """Commit, then come by."""
        result = await super().write(change)
        self._come_by("row committed")
        return result


class _Networks:
    """Nobody is on a network here."""

    def wanted(self, user: User, names: object) -> tuple[()]:
        return ()

    async def join(self, row: Sandbox, networks: object) -> None:
        return

    async def reconcile(self) -> None:
        return

    async def plug_all(self, sandbox_id: str) -> None:
        return

    sever_all = pull_all = adopt = plug_all


class _Drafts(Drafts):
    """Every wish becomes the usual row; forks are drafted as they are."""

    base = Path()

    def draft(self, user: User, wanted: NewSandbox) -> tuple[Sandbox, Any]:
        row = sandbox(id="sb-01k5zq7m3v8w2x4y6z9abcdefg", user_id=user.id, name=wanted.name, slot=0, ip="")
        return row, type("Base", (), {"path": self.base})


@dataclass
class CrashWorld:
    """The services over fakes of the host. `come_by` is called at every moment."""

    directory: Path
    state: HostState = field(default_factory=HostState)
    come_by: Callable[[str], None] | None = None

    async def open(self) -> CrashWorld:
        """Build everything over the files that there are."""
        moments = Moments(self._moment)
        paths = self.paths = Paths(self.directory, self.directory)
        make_directories(paths)
        settings = Settings(state_dir=self.directory, memory_reserve_mib=0, disk_reserve_mib=0, golden_budget_mib=0)
        self._database = WatchedDatabase(paths.database, self._moment)
        store = self.store = SandboxStore(self._database)
        self.user = await AccountStore(self._database).by_uid(0, "root")
        locks, self.background = SandboxLocks(), Background()
        progress = self.progress = Progress()
        network, networks = cast("Any", LastingNetwork(self.state, moments)), cast("Any", _Networks())
        self.hypervisor = LastingHypervisor(self.state, moments)
        agents, disks = cast("Any", LastingAgents(self.state)), cast("Any", FakeDisks(moments))
        identities = cast("Any", LastingIdentities(self.state, moments))
        machines = self.machines = Machines(
            self.hypervisor, disks, network, identities, networks, agents, paths, INSTANCE.id, moments
        )
        losses = Losses(store, self.hypervisor, machines, agents, locks, self.background, paths)
        self.hypervisor.on_stopped(losses.machine_stopped)
        snapshots = self.snapshots = Snapshots(paths, self.hypervisor, moments)
        layers, drafts = Layers(disks, paths, moments), _Drafts(store, cast("Any", None), region="", host_id="")
        drafts.base = self.directory.with_name(f"{self.directory.name}.base")
        drafts.base.touch()
        remains = Remains(store, snapshots, layers, CheckpointStore(self._database))
        builds, standbys, starts = make_starts(
            *(self._database, store, self.hypervisor, machines, network, snapshots, layers, remains, self.background),
            *(paths, settings, moments),
        )
        disks_of_nobody = cast("Any", NoDisks())
        self.sandboxes = Sandboxes(
            *(store, machines, network, drafts, networks, disks_of_nobody, locks, self.background, progress, settings),
            *(snapshots, remains, starts),
        )
        self.pauses = Pauses(
            *(store, machines, disks_of_nobody, network, snapshots, layers, locks, self.background, progress),
            *(settings, moments),
        )
        self.resumes = Resumes(
            *(store, machines, snapshots, layers, remains, locks, self.background, progress, settings, moments),
            standbys.make_room,
        )
        self.forks = Forks(store, machines, network, snapshots, layers, self.resumes, drafts, locks, moments)
        self.named = CheckpointStore(self._database)
        self.checkpoints = Checkpoints(
            *(self.named, store, self.pauses, self.resumes, self.forks, drafts, snapshots, layers, remains, locks),
            moments,
            deadline_s=30,
        )
        recover = {
            State.PAUSING: self.pauses.recover,
            State.RESUMING: self.resumes.recover,
            State.FORKING: self.forks.recover,
        }
        self.reconciler = Reconciler(
            *(store, self.hypervisor, network, machines, agents, self.sandboxes, networks, losses, locks, paths),
            recover,
            remains,
            lambda: builds.guests | standbys.guests,
            keep_destroyed=timedelta(days=1),
        )
        self.agents = agents
        return self

    def _moment(self, name: str) -> None:
        if self.come_by:
            self.come_by(name)

    async def start(self) -> Plan:
        """Do what a daemon does at its start, in its order, and return what there was to do."""
        self.progress.found(FILES)
        todo = await self.reconciler.run()
        self.progress.ready(FILES)
        await self.settle()
        return todo

    async def close(self) -> None:
        """Let go of everything; the host stays as it is."""
        await self.background.close()
        self._database.close()

    async def change_base(self, box: Sandbox, digest: str) -> None:
        """Let a sandbox's image be another one."""
        sql = "UPDATE sandboxes SET base_digest = ? WHERE id = ?"
        await self._database.write(lambda db: db.execute(sql, (digest, box.id)))

    async def settle(self) -> None:
        """Wait until nothing is under way; what nobody works on any more stays as it is."""
        for _ in range(_TURNS):
            await self.background.drain("", 60)
            if not any(row.state in _MOVING for row in self.rows()):
                return
            await asyncio.sleep(0)

    def rows(self) -> list[Sandbox]:
        """Return every sandbox."""
        return self.store.in_states(frozenset(State))

    async def box(self) -> Sandbox:
        """Return a running sandbox that has written one word."""
        box = await self.sandboxes.create(self.user, NewSandbox(shape="s-1vcpu-256mb", name="demo-box"))
        self.write(box, b"first ")
        return box

    def write(self, box: Sandbox, word: bytes) -> None:
        """Let the guest of a running sandbox write a word to its memory and its disk."""
        self.state.machines[self.machines.name(box.id)].memory += word
        write(self.paths.sandbox(box.id).overlay, word)

    async def pause(self, box: Sandbox) -> None:
        """Pause and wait for it."""
        await self.pauses.pause(self.user, box.id)
        await self.settle()

    async def resume(self, box: Sandbox, *, cold: bool = False) -> None:
        """Resume and wait for it; what cannot begin is seen by the state it leaves."""
        with suppress(EngineError):
            await self.resumes.resume(self.user, box.id, cold=cold)
        await self.settle()
