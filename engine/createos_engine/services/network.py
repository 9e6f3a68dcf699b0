"""A sandbox's way out: one tap and its firewall rules, always in that order and undone in reverse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

from createos_netconfig.addresses import GATEWAY_V4, GATEWAY_V6, Endpoint, Pool
from createos_netconfig.errors import NetconfigError
from createos_netconfig.firewall import Firewall
from createos_netconfig.gateway import Gateway
from createos_netconfig.links import Links
from createos_netconfig.names import Instance

from createos_engine.errors import HostFailed

# The last slots are lent to builds of images; no sandbox gets them.
BUILD_SLOTS = 8


class Network:
    """Taps and rules by slot. Errors of netconfig become HostFailed here and nowhere else."""

    gateways = (str(GATEWAY_V4), str(GATEWAY_V6))
    # The gateway answers there for every sandbox; libraries cannot ask a link-local IPv6 address without its link.
    resolvers = (str(GATEWAY_V4),)

    def __init__(self, instance: Instance, pool: Pool, links: Links, firewall: Firewall, gateway: Gateway) -> None:
        self._instance = instance
        self._pool = pool
        self._links = links
        self._firewall = firewall
        self._gateway = gateway

    @property
    def capacity(self) -> int:
        """How many slots there are for sandboxes."""
        return self._pool.capacity - BUILD_SLOTS

    @property
    def build_slots(self) -> range:
        """The slots of builds."""
        return range(self.capacity + 1, self._pool.capacity + 1)

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

    async def enable_loopback(self) -> None:
        """Bring lo up, which a new network namespace does not do; the TCP API listens there."""
        with netconfig_errors("lo could not be brought up"):
            await self._links.enable_loopback()

    async def prepare(self, slot: int) -> None:
        """Make a tap that nothing passes: it is down and not admitted. `connect` opens it."""
        endpoint = self.endpoint(slot)
        with netconfig_errors(f"the network interface {endpoint.interface} could not be made"):
            self._firewall.expel(endpoint)
            await self._links.add_closed_tap(endpoint.interface)

    async def connect(self, slot: int) -> None:
        """Make the tap and admit it. Rules match on the prefix of the name, so a tap not yet admitted is refused."""
        endpoint = self.endpoint(slot)
        with netconfig_errors(f"the network interface {endpoint.interface} could not be made"):
            self._firewall.admit(endpoint)
            await self._links.add_tap(endpoint)

    async def lend(self, slot: int, peer: str, pid: int) -> None:
        """Admit a link whose other end, *peer*, is in a process's network namespace, under the rules of a sandbox."""
        endpoint = self.endpoint(slot)
        with netconfig_errors(f"the network interface {endpoint.interface} could not be lent"):
            self._firewall.admit(endpoint)
            await self._links.lend_veth(endpoint, peer, pid)

    async def disconnect(self, slot: int) -> None:
        """Remove the tap, then its rules; what is gone already is fine."""
        endpoint = self.endpoint(slot)
        with netconfig_errors(f"the network interface {endpoint.interface} could not be removed"):
            await self._links.remove_tap(endpoint.interface)
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
