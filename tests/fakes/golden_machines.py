"""Machines for golden snapshots: their disks and memories are small files, their guests agree to everything."""

from __future__ import annotations

from pathlib import Path

from createos_engine.drivers.hypervisor import MemoryImage
from createos_engine.drivers.libvirt.savefile import SaveHeader
from createos_engine.errors import GuestFailed
from createos_engine.paths import Paths
from createos_engine.services.manifests import Origin
from createos_engine.services.progress import BootFiles
from createos_engine.words import Sandbox

from tests.fakes.machines import FakeMachines


class FakeDisks:
    """Disks that are a few bytes."""

    async def create_on_layer(self, layer: Path, overlay: Path) -> None:
        """Make a disk that says what it stands on."""
        overlay.unlink(missing_ok=True)
        overlay.write_text(f"on {layer.stem}")


class FakeAgent:
    """Does what it is asked, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def configure(self, identity: object, *, deadline_s: float) -> dict[str, object]:
        """Take a name."""
        self.asked.append("configure")
        return {}

    async def run(self, program: object, stdin: object = None, *, limit_bytes: int) -> None:
        """Run a program."""
        self.asked.append("run")

    async def ask(self, kind: str, body: dict[str, object], deadline_s: float) -> dict[str, object]:
        """Answer."""
        self.asked.append(kind)
        return {}


class FakeGoldenMachines(FakeMachines):
    """Fails with the reasons `not_restored`, `not_blank` and `not_taken_over` when these are set."""

    def __init__(self, paths: Paths) -> None:
        super().__init__()
        self._paths = paths
        self.agent = FakeAgent()
        self.restored: list[tuple[str, str]] = []
        self.grown: list[int] = []
        self.booted: list[str] = []
        self.not_restored = ""
        self.not_blank = ""
        self.not_taken_over = ""
        self.taken_over: list[str] = []

    async def boot(self, sandbox: Sandbox, base: Path, files: BootFiles, *, deadline_s: float) -> None:
        """Boot."""
        await super().boot(sandbox, base, files, deadline_s=deadline_s)
        self.booted.append(sandbox.id)

    async def boot_blank(self, sandbox: Sandbox, base: Path, files: BootFiles, *, deadline_s: float) -> FakeAgent:
        """Boot a machine that is nobody's."""
        self.make_directory(sandbox)
        self._paths.sandbox(sandbox.id).overlay.write_text("written while it booted")
        self.hosts.add(sandbox.id)
        if self.not_blank:
            raise GuestFailed(self.not_blank)
        return self.agent

    async def save(self, sandbox: Sandbox, to: Path) -> None:
        """Write a memory image."""
        header = SaveHeader(f"<domain>{sandbox.id}</domain>", "", was_running=True, data_bytes=4096)
        to.write_bytes(header.encode())
        self.hosts.discard(sandbox.id)

    async def restore(
        self, sandbox: Sandbox, memory: MemoryImage, origin: Origin, files: BootFiles, *, deadline_s: float
    ) -> dict[str, str]:
        """Start from a memory image."""
        if self.not_restored:
            raise GuestFailed(self.not_restored)
        self.hosts.add(sandbox.id)
        self.restored.append((sandbox.id, origin.sandbox_id))
        return {}

    async def stand_by(
        self, blank: Sandbox, memory: MemoryImage, origin: Origin, files: BootFiles, *, deadline_s: float
    ) -> None:
        """Start from a memory image and wait."""
        if self.not_restored:
            raise GuestFailed(self.not_restored)
        self.hosts.add(blank.id)

    async def take_over(self, sandbox: Sandbox, files: BootFiles, *, deadline_s: float) -> None:
        """Become somebody."""
        if self.not_taken_over:
            raise GuestFailed(self.not_taken_over)
        assert sandbox.id in self.hosts
        self.taken_over.append(sandbox.id)

    async def require_networks(self, sandbox: Sandbox) -> None:
        """Be on all networks."""

    async def grow_disk(self, sandbox: Sandbox) -> None:
        """Remember the size."""
        self.grown.append(sandbox.disk_mib)

    async def remove(self, sandbox: Sandbox) -> None:
        """End the machine."""
        await super().remove(sandbox)
        self.hosts.discard(sandbox.id)

    def make_directory(self, sandbox: Sandbox) -> None:
        """Make its directory."""
        self._paths.sandbox(sandbox.id).directory.mkdir()

    async def erase(self, sandbox_id: str) -> None:
        """Delete its directory."""
        paths = self._paths.sandbox(sandbox_id)
        if paths.directory.exists():
            for entry in paths.directory.iterdir():
                entry.unlink()
            paths.directory.rmdir()
