"""A sandbox's way out: one tap and its firewall rules, always in that order and undone in reverse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

import structlog
from createos_netconfig.addresses import GATEWAY_V4, GATEWAY_V6, Endpoint, Pool
from createos_netconfig.errors import NetconfigError
from createos_netconfig.firewall import Firewall
from createos_netconfig.gateway import Gateway
from createos_netconfig.links import Links
from createos_netconfig.member import Refused
from createos_netconfig.names import Instance
from createos_netconfig.rules import Address

from createos_engine.errors import HostFailed
from createos_engine.services.allowances import Allowances

log = structlog.get_logger(__name__)

# The last slots are lent to builds of images; no sandbox gets them.
BUILD_SLOTS = 8
# One more is that of golden snapshots while they are built; its tap is never opened.
_GOLDEN_SLOTS = 1


class Network:
    """Taps and rules by slot. Errors of netconfig become HostFailed here and nowhere else."""

    gateways = (str(GATEWAY_V4), str(GATEWAY_V6))
    # The gateway answers there for every sandbox; libraries cannot ask a link-local IPv6 address without its link.
    resolvers = (str(GATEWAY_V4),)

    def __init__(
        self,
        instance: Instance,
        pool: Pool,
        links: Links,
        firewall: Firewall,
        gateway: Gateway,
        allowances: Allowances,
    ) -> None:
        self._instance = instance
        self._pool = pool
        self._links = links
        self._firewall = firewall
        self._gateway = gateway
        self._allowances = allowances

    @property
    def capacity(self) -> int:
        """How many slots there are for sandboxes."""
        return self._pool.capacity - BUILD_SLOTS - _GOLDEN_SLOTS

    @property
    def build_slots(self) -> range:
        """The slots of builds."""
        return range(self.capacity + 1, self.golden_slot)

    @property
    def golden_slot(self) -> int:
        """The slot of the golden snapshot that is being built."""
        return self._pool.capacity

    def endpoint(self, slot: int) -> Endpoint:
        """Return the interface name, MAC and addresses of a slot."""
        return self._pool.endpoint(self._instance, slot)

    def slot_of(self, address: IPv4Address | IPv6Address) -> int | None:
        """Return the slot that an address of a sandbox was made from; None for any other address."""
        network = self._pool.v4 if address.version == 4 else self._pool.v6
        slot = int(address) - int(network.network_address) - 1
        return slot if address in network and 1 <= slot <= self.capacity else None

    async def install(self) -> None:
        """Put the base rules in place with the members they have; must come before the first tap."""
        with netconfig_errors("the firewall could not be set up"):
            self._firewall.install(await self._gateway.open())
            self._links.enable_forwarding()

    async def verify(self) -> None:
        """Put the rules in place again when somebody else on this host has removed them; until then nothing passes."""
        with netconfig_errors("the firewall could not be restored"):
            if self._firewall.installed():
                return
            self._firewall.restore(await self._gateway.open(), self._allowances.remaining_bytes)
        log.warning("the rules of sandboxes were gone; somebody else removed them, and they are back")
        for slot in self._firewall.slots():
            await self._allowances.settle(slot, None)

    async def enable_loopback(self) -> None:
        """Bring lo up, which a new network namespace does not do; the TCP API listens there."""
        with netconfig_errors("lo could not be brought up"):
            await self._links.enable_loopback()

    async def prepare(self, slot: int) -> None:
        """Make a closed tap, or close the one there is: it is down and not admitted. `connect` opens it."""
        endpoint = self.endpoint(slot)
        with netconfig_errors(f"the network interface {endpoint.interface} could not be made"):
            await self._expel(endpoint)
            await self._links.add_closed_tap(endpoint.interface)

    async def connect(self, slot: int) -> None:
        """Make the tap and admit it under its sandbox's rules, which come first: a tap not yet admitted is refused."""
        endpoint = self.endpoint(slot)
        with netconfig_errors(f"the network interface {endpoint.interface} could not be made"):
            await self._allowances.settle(slot, self._firewall.counted().get(endpoint.interface))
            self._firewall.admit(
                endpoint, self._allowances.rules(slot), remaining_bytes=self._allowances.remaining_bytes(slot)
            )
            await self._links.add_tap(endpoint)
            self._firewall.hear(endpoint)

    async def lend(self, slot: int, peer: str, pid: int) -> None:
        """Admit a link whose other end, *peer*, is in a process's network namespace, under the rules of a sandbox."""
        endpoint = self.endpoint(slot)
        with netconfig_errors(f"the network interface {endpoint.interface} could not be lent"):
            self._firewall.admit(endpoint)
            await self._links.lend_veth(endpoint, peer, pid)
            self._firewall.hear(endpoint)

    async def connect_build(self, slot: int) -> None:
        """Open the tap of a machine in which something is built, under the rules of a new sandbox."""
        endpoint = self.endpoint(slot)
        with netconfig_errors(f"the network interface {endpoint.interface} could not be opened"):
            self._firewall.admit(endpoint)
            await self._links.add_tap(endpoint)
            self._firewall.hear(endpoint)

    async def disconnect(self, slot: int) -> None:
        """Remove the tap, then its rules; what is gone already is fine."""
        endpoint = self.endpoint(slot)
        with netconfig_errors(f"the network interface {endpoint.interface} could not be removed"):
            await self._links.remove_tap(endpoint.interface)
            await self._expel(endpoint)

    def renew(self, slot: int) -> None:
        """Put the present rules of a slot's sandbox in force, if it has a link; what stays allowed goes on."""
        member = self._firewall.at(slot)
        if member:
            with netconfig_errors("the egress rules could not be changed"):
                self._firewall.change(member.endpoint, self._allowances.rules(slot))

    async def count(self, slots: Iterable[int] | None = None) -> None:
        """Add what was counted so far to the totals of slots, of all that have a link by default."""
        with netconfig_errors("the counted bytes could not be read"):
            counted = {self._instance.slot(name): bytes_ for name, bytes_ in self._firewall.counted().items()}
        for slot in set(counted) & set(counted if slots is None else slots):
            await self._allowances.settle(slot, counted[slot])

    def meter(self, slot: int) -> None:
        """Put what is left of a quota in force, if the slot's sandbox has a link."""
        member = self._firewall.at(slot)
        if member:
            with netconfig_errors("the bandwidth quota could not be changed"):
                self._firewall.meter(member.endpoint, self._allowances.remaining_bytes(slot))

    def refused(self, slot: int) -> list[Refused]:
        """Return what a slot's sandbox was refused lately, the latest last."""
        with netconfig_errors("what was refused could not be read"):
            return self._firewall.refused(self.endpoint(slot))

    def learned(self, slot: int) -> list[Address]:
        """Return the addresses that names have brought in for a slot's sandbox."""
        member = self._firewall.at(slot)
        return sorted({each.address for each in member.book.entries()}, key=str) if member else []

    async def _expel(self, endpoint: Endpoint) -> None:
        counted = self._firewall.counted().get(endpoint.interface)
        if counted is not None:
            await self._allowances.settle(endpoint.slot, counted)
        self._firewall.expel(endpoint)

    async def connected(self) -> frozenset[int]:
        """Return the slots of sandboxes that have a tap or rules."""
        return frozenset(slot for slot in await self._connected() if slot <= self.capacity)

    async def remove(self) -> None:
        """Remove every tap and rule of this engine."""
        for slot in await self._connected():
            await self.disconnect(slot)
        with netconfig_errors("the firewall could not be removed"):
            self._firewall.remove()

    async def _connected(self) -> frozenset[int]:
        with netconfig_errors("the network interfaces could not be listed"):
            names = await self._links.taps() | self._firewall.members()
        return frozenset(self._instance.slot(name) for name in names)


@contextmanager
def netconfig_errors(doing: str) -> Iterator[None]:
    """Turn NetconfigError into HostFailed, once."""
    try:
        yield
    except NetconfigError as exc:
        raise HostFailed(f"{doing}: {exc.reason}", hint=exc.hint or "createosd doctor") from exc
