"""A hypervisor that keeps its machines in a dict."""

from __future__ import annotations

from collections.abc import Callable

from createos_engine.drivers.hypervisor import Hypervisor, Machine, Stopped
from createos_engine.errors import HostFailed


class FakeHypervisor:
    """Starts and ends machines at once; `refuse` makes the named calls fail."""

    def __init__(self, refuse: frozenset[str] = frozenset()) -> None:
        self.machines: dict[str, str] = {}
        self.disks_mib: dict[str, int] = {}
        self.refuse = refuse
        self._listeners: list[Callable[[Stopped], None]] = []

    async def start(self, machine: Machine) -> None:
        """Start, unless told to refuse."""
        self._may("start")
        self.machines[machine.name] = machine.sandbox_id

    async def destroy(self, name: str) -> None:
        """End a machine; one that is gone is fine."""
        self._may("destroy")
        self.machines.pop(name, None)

    async def running(self) -> dict[str, str]:
        """Return what runs."""
        self._may("running")
        return dict(self.machines)

    async def grow_disk(self, name: str, size_mib: int) -> None:
        """Remember the size."""
        self._may("grow_disk")
        self.disks_mib[name] = size_mib

    def on_stopped(self, listener: Callable[[Stopped], None]) -> None:
        """Remember whom to tell."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Let go."""

    def dies(self, name: str, reason: str) -> None:
        """End a machine by itself."""
        stopped = Stopped(name, self.machines.pop(name), reason)
        for listener in self._listeners:
            listener(stopped)

    def _may(self, call: str) -> None:
        if call in self.refuse:
            raise HostFailed(f"{call} was refused")


_: Hypervisor = FakeHypervisor()
