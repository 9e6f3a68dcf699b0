"""Taps: a point-to-point link from the host to one guest, with nothing else on it (design 9)."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv6Address

from pyroute2.netlink.exceptions import NetlinkError

from createos_netconfig import sysctl
from createos_netconfig.addresses import GATEWAY_MAC, GATEWAY_V4, GATEWAY_V6, Endpoint
from createos_netconfig.errors import NetconfigError
from createos_netconfig.latch import Latch
from createos_netconfig.netlink import Netlink, netlink_errors
from createos_netconfig.tap import make_tap

# linux/if_addr.h, linux/rtnetlink.h, linux/neighbour.h
_IFA_F_NODAD = 0x02
_NUD_PERMANENT = 0x80
_RT_SCOPE_LINK = 253
_HOST_BITS = {4: 32, 6: 128}
_LINK_LOCAL_BITS = 64


class Links(Netlink):
    """The taps of one instance, each the way out of one sandbox."""

    async def enable_loopback(self) -> None:
        """Bring lo up; in a new network namespace it is down."""
        with netlink_errors("lo could not be brought up"):
            await self._up("lo")

    def enable_forwarding(self) -> None:
        """Let the host route. It stays on when the daemon ends, since the sandboxes stay too.

        The rules come first: from this moment on they alone keep sandboxes apart.
        """
        sysctl.enable_forwarding()

    async def add_tap(self, endpoint: Endpoint) -> None:
        """Make a persistent tap with the gateway's addresses and a route to the guest; one that is there is kept.

        The host hears nothing from it before the firewall's `hear`, and nothing any more when the rules are gone.
        Where the kernel speaks no IPv6, the tap has none. Raises NetconfigError when another link has the route.
        """
        interface = endpoint.interface
        with netlink_errors(f"{interface} could not be configured"):
            if self._index(interface) is None:
                make_tap(interface)
            await self._open(endpoint)

    async def lend_veth(self, endpoint: Endpoint, peer: str, pid: int) -> None:
        """Make a link whose other end, named *peer*, is in the network namespace of a process and ends with it."""
        interface = endpoint.interface
        with netlink_errors(f"{interface} could not be lent to process {pid}"):
            other = {"ifname": peer, "address": endpoint.mac, "net_ns_pid": pid}
            await self._netlink.link("add", ifname=interface, kind="veth", peer=other)
            await self._open(endpoint)

    async def _open(self, endpoint: Endpoint) -> None:
        """Give a link the gateway's addresses and the route to who is behind it."""
        interface = endpoint.interface
        sysctl.harden(interface)
        await self._set_mac(interface)
        await self._close(self._there(interface), Latch.TAP)
        index = await self._up(interface)
        await self._add_gateway(index, GATEWAY_V4, bits=_HOST_BITS[4], scope=_RT_SCOPE_LINK)
        await self._add_guest(index, endpoint.ipv4, endpoint.mac)
        if sysctl.has_ipv6(interface):
            await self._add_gateway(index, GATEWAY_V6, bits=_LINK_LOCAL_BITS, flags=_IFA_F_NODAD)
            await self._add_guest(index, endpoint.ipv6, endpoint.mac)

    async def add_closed_tap(self, interface: str) -> None:
        """Make a persistent tap that is down and has no address; one that is there is closed."""
        if not self._instance.owns(interface):
            raise NetconfigError(f"{interface} is no interface of instance {self._instance.id}")
        with netlink_errors(f"{interface} could not be made"):
            index = self._index(interface)
            if index is None:
                make_tap(interface)
                sysctl.harden(interface)
                await self._close(self._there(interface), Latch.TAP)
            else:
                await self._netlink.link("set", index=index, state="down")

    async def remove_tap(self, interface: str) -> None:
        """Remove a tap of this instance with its addresses and routes; one that is gone already is fine."""
        if not self._instance.owns(interface):
            raise NetconfigError(f"{interface} is no interface of instance {self._instance.id}")
        await self._remove(interface)

    async def taps(self) -> frozenset[str]:
        """Return the names of this instance's taps that are sandboxes' ways out."""
        return frozenset(name for name in await self.tagged() if self._instance.owns(name))

    async def tagged(self) -> frozenset[str]:
        """Return the names of all interfaces of this instance: taps, bridges and their ports."""
        return frozenset(name for name in await self._names() if self._instance.tags(name))

    async def _set_mac(self, interface: str) -> None:
        """Give the host's end the address that guests know it by."""
        index = self._index(interface)
        await self._netlink.link("set", index=index, address=GATEWAY_MAC)

    async def _up(self, interface: str) -> int:
        index = self._there(interface)
        await self._netlink.link("set", index=index, state="up")
        return index

    def _there(self, interface: str) -> int:
        index = self._index(interface)
        if index is None:
            raise NetconfigError(f"there is no interface {interface}")
        return index

    async def _add_gateway(self, index: int, address: IPv4Address | IPv6Address, *, bits: int, **options: int) -> None:
        await self._netlink.addr("replace", index=index, address=str(address), prefixlen=bits, **options)

    async def _add_guest(self, index: int, address: IPv4Address | IPv6Address, mac: str) -> None:
        """Route an address to a link, and say once and for all who has it: nobody has to be asked.

        A guest that does not answer would make the kernel report every refusal as undeliverable, and to the address
        that was refused, since refusals come from there: a way out for whoever reads along.
        """
        await self._add_route(index, address)
        await self._netlink.neigh("replace", ifindex=index, dst=str(address), lladdr=mac, state=_NUD_PERMANENT)

    async def _add_route(self, index: int, address: IPv4Address | IPv6Address) -> None:
        """Add the route, never replace one: somebody else's packets would come to this guest."""
        options = {"scope": _RT_SCOPE_LINK} if address.version == 4 else {}
        try:
            await self._netlink.route("add", dst=f"{address}/{_HOST_BITS[address.version]}", oif=index, **options)
        except NetlinkError as exc:
            if exc.code != errno.EEXIST:
                raise
            if await self._oif(address) != index:
                raise NetconfigError(
                    f"{address} is routed to another interface already", "give each engine a subnet of its own"
                ) from exc

    async def _oif(self, address: IPv4Address | IPv6Address) -> int | None:
        routes = await self._netlink.route("get", dst=str(address))
        return next((route.get("oif") for route in routes), None)
