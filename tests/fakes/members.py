"""Bridges, ports and cards that exist in sets."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from createos_engine.errors import GuestFailed, HostFailed
from createos_engine.network_words import Membership
from createos_netconfig.names import Instance
from createos_netconfig.segments import Port, Segment, SegmentPool

ONE = Instance("ab12")
POOL = SegmentPool(IPv4Network("10.78.0.0/16"), IPv6Network("fd78::/48"))


class FakeMembers:
    """Plugs and pulls at once; `refuse` makes the named calls fail, `holds` has the cards that guests do not let go."""

    capacity = POOL.capacity

    def __init__(self) -> None:
        self.bridges: set[int] = set()
        self.ports: set[int] = set()
        self.refuse: set[str] = set()
        self.holds = False

    def segment(self, slot: int) -> Segment:
        """Return a network's subnets."""
        return POOL.segment(ONE, slot)

    def port(self, row: Membership) -> Port:
        """Return a membership's addresses."""
        return self.segment(row.network_slot).port(ONE, row.slot, row.number)

    async def add_bridge(self, slot: int) -> None:
        """Make a bridge."""
        self._may("bridge")
        self.bridges.add(slot)

    async def remove_bridge(self, slot: int) -> None:
        """Remove a bridge."""
        self._may("bridge")
        self.bridges.discard(slot)

    async def plug(self, row: Membership) -> None:
        """Make a port; a refusal comes in the middle of it."""
        self.ports.add(row.slot)
        self._may("plug")

    async def pull(self, row: Membership) -> None:
        """Remove a port."""
        if self.holds:
            raise GuestFailed("the guest does not let go of its network card")
        self.ports.discard(row.slot)

    async def close_port(self, slot: int) -> None:
        """Remove a port by its slot."""
        self.ports.discard(slot)

    async def adopt(self, sandbox_id: str) -> None:
        """Find everything in order."""

    async def verify(self) -> None:
        """Find the rules in place."""

    async def there(self) -> tuple[frozenset[int], frozenset[int]]:
        """Return what there is."""
        return frozenset(self.bridges), frozenset(self.ports)

    def _may(self, call: str) -> None:
        if call in self.refuse:
            raise HostFailed(f"{call} was refused")
