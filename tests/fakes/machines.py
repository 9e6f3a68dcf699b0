"""Machines that exist in a dict: what the services make and undo, without a host."""

from __future__ import annotations

import asyncio
from pathlib import Path

from createos_engine.errors import GuestFailed, HostFailed
from createos_engine.services.progress import BootFiles
from createos_engine.words import Accelerator, Sandbox

FILES = BootFiles(Path("/vmlinux"), Path("/initramfs"), "quiet", Accelerator.TCG, "there is no /dev/kvm")


class FakeMachines:
    """Boots at once, or waits for `go`; refuses when told so. `hosts` holds the ids that have host objects."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.recorded: dict[str, Sandbox] = {}
        self.booting: list[str] = []
        self.most_at_once = 0
        self.refuse = ""
        self.go = asyncio.Event()
        self.go.set()

    async def boot(self, sandbox: Sandbox, base: Path, files: BootFiles, *, deadline_s: float) -> None:
        """Boot, or leave nothing behind."""
        self.hosts.add(sandbox.id)
        self.booting.append(sandbox.id)
        self.most_at_once = max(self.most_at_once, len(self.booting))
        try:
            await self.go.wait()
            if self.refuse:
                raise GuestFailed(self.refuse)
        except BaseException:
            self.hosts.discard(sandbox.id)
            raise
        finally:
            self.booting.remove(sandbox.id)

    async def adopt(self, sandbox: Sandbox, *, deadline_s: float) -> None:
        """Take charge of a machine that runs."""
        if self.refuse:
            raise GuestFailed(self.refuse)

    async def remove(self, sandbox: Sandbox) -> None:
        """End the machine."""
        if self.refuse:
            raise HostFailed(self.refuse)

    def record(self, sandbox: Sandbox) -> None:
        """Remember the row."""
        self.recorded[sandbox.id] = sandbox

    async def erase(self, sandbox_id: str) -> None:
        """Delete the directory."""
        self.hosts.discard(sandbox_id)

    def name(self, sandbox_id: str) -> str:
        """Return the domain's name."""
        return f"vm-{sandbox_id}"
