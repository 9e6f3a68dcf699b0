"""Bridges and their ports: a private network is a bridge on which the host has no address (design 9)."""

from __future__ import annotations

from createos_netconfig import sysctl
from createos_netconfig.errors import NetconfigError
from createos_netconfig.latch import Latch
from createos_netconfig.netlink import Netlink, netlink_errors
from createos_netconfig.segments import MTU, Port, Segment
from createos_netconfig.tap import make_tap


class Bridges(Netlink):
    """The bridges of one instance and their ports."""

    async def add_bridge(self, segment: Segment) -> None:
        """Make a bridge that forwards at once and knows no neighbours, groups or addresses; one there is kept."""
        with netlink_errors(f"the bridge {segment.bridge} could not be made"):
            if self._index(segment.bridge) is None:
                await self._netlink.link(
                    "add",
                    ifname=segment.bridge,
                    kind="bridge",
                    mtu=MTU,
                    br_forward_delay=0,
                    br_stp_state=0,
                    br_mcast_snooping=0,
                )
            sysctl.mute(segment.bridge)
            index = self._index(segment.bridge)
            if index is None:
                raise NetconfigError(f"there is no bridge {segment.bridge}")
            await self._close(index, Latch.BRIDGE)
            await self._netlink.link("set", index=index, state="up")

    async def remove_bridge(self, name: str) -> None:
        """Remove a bridge of this instance; one that is gone already is fine."""
        if self._instance.bridge_slot(name) is None:
            raise NetconfigError(f"{name} is no bridge of instance {self._instance.id}")
        await self._remove(name)

    async def add_port(self, port: Port) -> None:
        """Make a persistent tap and put it on its bridge; it comes up only there. Repeatable."""
        with netlink_errors(f"{port.interface} could not be put on {port.bridge}"):
            if self._index(port.interface) is None:
                make_tap(port.interface)
            sysctl.mute(port.interface)
            index, master = self._index(port.interface), self._index(port.bridge)
            if index is None or master is None:
                raise NetconfigError(f"there is no bridge {port.bridge}, or its port {port.interface} is gone")
            await self._close(index, Latch.PORT)
            await self._netlink.link("set", index=index, master=master, mtu=MTU)
            await self._netlink.link("set", index=index, state="up")

    async def remove_port(self, name: str) -> None:
        """Remove a port of this instance; one that is gone already is fine."""
        if self._instance.port_slot(name) is None:
            raise NetconfigError(f"{name} is no port of instance {self._instance.id}")
        await self._remove(name)

    async def there(self) -> tuple[frozenset[int], frozenset[int]]:
        """Return the slots of this instance's bridges and of its ports."""
        names = await self._names()
        bridges, ports = map(self._instance.bridge_slot, names), map(self._instance.port_slot, names)
        return frozenset(filter(None, bridges)), frozenset(filter(None, ports))
