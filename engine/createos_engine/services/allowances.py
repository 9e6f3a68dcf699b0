"""What a sandbox's link is opened with: the rules of its row and what is left of its quota, found by its slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from createos_netconfig.rules import OPEN, Rules, parse

from createos_engine.errors import NotFound
from createos_engine.store.bandwidth import BandwidthStore
from createos_engine.store.egress import EgressStore
from createos_engine.traffic import UNMETERED


class Allowances:
    """Read and kept up to date by whoever opens and closes links."""

    def __init__(
        self, egress: EgressStore, bandwidth: BandwidthStore, endpoints: Callable[[str], Sequence[str]]
    ) -> None:
        """*endpoints* returns the rules that a sandbox's own disks need, whatever its other rules are."""
        self._endpoints = endpoints
        self._egress = egress
        self._bandwidth = bandwidth

    def rules(self, slot: int) -> Rules:
        """Return the rules of the sandbox that has a slot; NotFound when none has: no link is opened then."""
        sandbox_id, texts = self._egress.of_slot(slot)
        return parse([*texts, *self._endpoints(sandbox_id)]) if texts else OPEN

    def remaining_bytes(self, slot: int) -> int | None:
        """Return what the sandbox may still send out, None for as much as it likes."""
        bandwidth = self._bandwidth.get(self._egress.of_slot(slot)[0])
        return None if bandwidth.quota_bytes == UNMETERED else bandwidth.remaining_bytes

    async def settle(self, slot: int, counted: tuple[int, int] | None) -> None:
        """Add what the kernel has counted (sent, got) to the totals; None means that its counters begin anew."""
        try:
            sandbox_id, _ = self._egress.of_slot(slot)
        except NotFound:
            return
        if counted is None:
            await self._bandwidth.begin(sandbox_id)
        else:
            await self._bandwidth.add(sandbox_id, *counted)
