"""Taps: a point-to-point link from the host to one guest, with nothing else on it (design 9)."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from types import TracebackType

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from createos_netconfig.addresses import GATEWAY_V4, GATEWAY_V6, Endpoint
from createos_netconfig.errors import NetconfigError
from createos_netconfig.names import Instance

# linux/if_tun.h
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_IFA_F_NODAD = 0x02
_HOST_BITS = {4: 32, 6: 128}
_LINK_LOCAL_BITS = 64
_NO_SUCH_DEVICE = 19

_SYSCTLS = {
    # The host answers for the gateway only, never for another of its addresses.
    "ipv4/conf/{}/arp_ignore": "1",
    "ipv4/conf/{}/arp_announce": "2",
    "ipv4/conf/{}/send_redirects": "0",
    "ipv4/conf/{}/accept_redirects": "0",
    "ipv4/conf/{}/rp_filter": "1",
    "ipv6/conf/{}/accept_ra": "0",
    "ipv6/conf/{}/accept_redirects": "0",
    "ipv6/conf/{}/addr_gen_mode": "1",
}
_FORWARDING = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")


class Links:
    """The taps of one instance in the network namespace it is used in. `async with` opens and closes netlink."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._netlink = AsyncIPRoute()

    async def __aenter__(self) -> Links:
        await self._netlink.setup_endpoint()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._netlink.close()

    async def enable_loopback(self) -> None:
        """Bring lo up; in a new network namespace it is down."""
        await self._up("lo")

    def enable_forwarding(self) -> None:
        """Let the host route. It stays on when the daemon ends, since the sandboxes stay too."""
        for name in _FORWARDING:
            _sysctl(name, "1")

    async def add_tap(self, endpoint: Endpoint) -> None:
        """Make a persistent tap with the gateway's addresses and a route to the guest; one that is there is kept."""
        if await self._index(endpoint.interface) is None:
            _make_tap(endpoint.interface)
        for name, value in _SYSCTLS.items():
            _sysctl(name.format(endpoint.interface), value)
        index = await self._up(endpoint.interface)
        try:
            await self._netlink.addr("replace", index=index, address=str(GATEWAY_V4), prefixlen=_HOST_BITS[4])
            await self._netlink.addr(
                "replace", index=index, address=str(GATEWAY_V6), prefixlen=_LINK_LOCAL_BITS, flags=_IFA_F_NODAD
            )
            for address in (endpoint.ipv4, endpoint.ipv6):
                await self._netlink.route("replace", dst=f"{address}/{_HOST_BITS[address.version]}", oif=index)
        except NetlinkError as exc:
            raise NetconfigError(f"{endpoint.interface} could not be configured: {exc}") from exc

    async def remove_tap(self, interface: str) -> None:
        """Remove a tap of this instance with its addresses and routes; one that is gone already is fine."""
        if not self._instance.owns(interface):
            raise NetconfigError(f"{interface} is no interface of instance {self._instance.id}")
        index = await self._index(interface)
        if index is None:
            return
        try:
            await self._netlink.link("del", index=index)
        except NetlinkError as exc:
            if exc.code != _NO_SUCH_DEVICE:
                raise NetconfigError(f"{interface} could not be removed: {exc}") from exc

    async def taps(self) -> frozenset[str]:
        """Return the names of this instance's interfaces."""
        links = [link async for link in await self._netlink.get_links()]
        return frozenset(name for name in (link.get("ifname") for link in links) if name and self._instance.owns(name))

    async def _index(self, interface: str) -> int | None:
        found = await self._netlink.link_lookup(ifname=interface)
        return int(found[0]) if found else None

    async def _up(self, interface: str) -> int:
        index = await self._index(interface)
        if index is None:
            raise NetconfigError(f"there is no interface {interface}")
        await self._netlink.link("set", index=index, state="up")
        return index


def _make_tap(interface: str) -> None:
    """Make a persistent tap as QEMU expects one that libvirt opens: no packet information, virtio headers."""
    try:
        handle = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except OSError as exc:
        raise NetconfigError(f"/dev/net/tun cannot be opened: {exc.strerror}", "modprobe tun") from exc
    try:
        request = struct.pack("16sH22x", interface.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR)
        fcntl.ioctl(handle, _TUNSETIFF, request)
        fcntl.ioctl(handle, _TUNSETPERSIST, 1)
    except OSError as exc:
        raise NetconfigError(f"the tap {interface} could not be made: {exc.strerror}") from exc
    finally:
        os.close(handle)


def _sysctl(name: str, value: str) -> None:
    path = Path("/proc/sys/net", name)
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as exc:
        raise NetconfigError(f"{path} cannot be set to {value}: {exc.strerror}") from exc
