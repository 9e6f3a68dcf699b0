"""Private networks as the host knows them: a bridge with a subnet, and ports with the addresses behind them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from createos_netconfig.addresses import mac_of
from createos_netconfig.errors import NetconfigError
from createos_netconfig.names import Instance

# What every link here carries; frames of guests that offload may be larger until they leave the host.
MTU = 1500
MOST_PORTS = 65_000
_V4_BITS, _V6_BITS = 24, 64
_PORT_MAC = 0xC1


@dataclass(frozen=True)
class Segment:
    """One private network: a bridge without any address, and the subnets of those behind its ports."""

    slot: int
    bridge: str
    v4: IPv4Network
    v6: IPv6Network

    @property
    def capacity(self) -> int:
        """How many members it can have; the network's first and last address are not given away."""
        return self.v4.num_addresses - 2

    def port(self, instance: Instance, slot: int, member: int) -> Port:
        """Return the port with a slot of its own (1 and up, one series for all segments) for the member of a number."""
        if not 1 <= member <= self.capacity:
            raise NetconfigError(f"member {member} is not within 1..{self.capacity}", "make another network")
        return Port(
            slot=slot,
            interface=instance.port(slot),
            bridge=self.bridge,
            mac=mac_of(instance, slot, kind=_PORT_MAC),
            ipv4=IPv4Interface((self.v4[member], self.v4.prefixlen)),
            ipv6=IPv6Interface((self.v6[member], self.v6.prefixlen)),
        )


@dataclass(frozen=True)
class Port:
    """A tap on a bridge, and what the guest behind it may say it is."""

    slot: int
    interface: str
    bridge: str
    mac: str
    ipv4: IPv4Interface
    ipv6: IPv6Interface


@dataclass(frozen=True)
class SegmentPool:
    """The networks that subnets are cut from: /24 and /64 for each segment."""

    v4: IPv4Network
    v6: IPv6Network

    @property
    def capacity(self) -> int:
        """How many segments there can be; none when a network is smaller than one subnet."""
        bits = min(_V4_BITS - self.v4.prefixlen, _V6_BITS - self.v6.prefixlen)
        return 0 if bits < 0 else int(2**bits)

    def segment(self, instance: Instance, slot: int) -> Segment:
        """Return the segment of a slot from 1 to capacity."""
        if not 1 <= slot <= self.capacity:
            raise NetconfigError(f"network {slot} is not within 1..{self.capacity}", "set a larger networks_v4")
        v4 = IPv4Network((int(self.v4.network_address) + (slot - 1 << 32 - _V4_BITS), _V4_BITS))
        v6 = IPv6Network((int(self.v6.network_address) + (slot - 1 << 128 - _V6_BITS), _V6_BITS))
        return Segment(slot, instance.bridge(slot), v4, v6)
