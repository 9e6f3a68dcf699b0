"""What sandboxes have sent and got, and how much more they may send."""

from __future__ import annotations

from createos_engine.errors import Invalid
from createos_engine.lifecycle import require_alive
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.network import Network
from createos_engine.store.bandwidth import BandwidthStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.traffic import Bandwidth
from createos_engine.words import User

_MOST_BYTES = 2**60


class Bandwidths:
    """Totals are those of the store with what the kernel has counted since."""

    def __init__(self, store: BandwidthStore, sandboxes: SandboxStore, network: Network, locks: SandboxLocks) -> None:
        self._store = store
        self._sandboxes = sandboxes
        self._network = network
        self._locks = locks

    @property
    def quota_bytes(self) -> int:
        """What a new sandbox may send, -1 for as much as it likes."""
        return self._store.quota_bytes

    async def get(self, user: User, ref: str) -> Bandwidth:
        """Return the totals up to now."""
        sandbox = self._sandboxes.find(user.id, ref)
        async with self._locks.hold(sandbox.id):
            await self._network.count([sandbox.slot])
            return self._store.get(sandbox.id)

    async def recharge(self, user: User, ref: str, add_bytes: int) -> Bandwidth:
        """Raise the quota, which changes nothing without one; Invalid (field add_bytes) unless it is raised."""
        sandbox = self._sandboxes.find(user.id, ref)
        if not 0 < add_bytes <= _MOST_BYTES:
            raise Invalid(f"{add_bytes} bytes cannot be added", hint=f"add 1 to {_MOST_BYTES} bytes", field="add_bytes")
        require_alive(sandbox.state)
        async with self._locks.hold(sandbox.id):
            await self._network.count([sandbox.slot])
            await self._store.recharge(sandbox.id, add_bytes)
            self._network.meter(sandbox.slot)
            return self._store.get(sandbox.id)

    async def count(self) -> None:
        """Write down what was counted so far, for all sandboxes."""
        await self._network.count()
