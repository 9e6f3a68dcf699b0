"""From a slot number to a MAC, an IPv4 and an IPv6 address: nothing is stored, nothing can collide."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from createos_netconfig.errors import NetconfigError
from createos_netconfig.names import Instance

GATEWAY_V4 = IPv4Address("169.254.77.1")
GATEWAY_V6 = IPv6Address("fe80::1")
GATEWAY_MAC = "02:c1:a9:fe:4d:01"
"""The host's end of every link: a guest that is resumed or forked onto another tap finds the neighbour it knows."""
# A /16 has room for more, but interface names must stay short and rules fast.
_MOST_SLOTS = 65_000


@dataclass(frozen=True)
class Endpoint:
    """One end of a link: what it is called on the host, and what the guest behind it may say it is."""

    slot: int
    interface: str
    mac: str
    ipv4: IPv4Address
    ipv6: IPv6Address


@dataclass(frozen=True)
class Pool:
    """The networks that addresses are taken from."""

    v4: IPv4Network
    v6: IPv6Network

    @property
    def capacity(self) -> int:
        """How many slots there are. The network's first two addresses and the last one are not given away."""
        return max(0, min(self.v4.num_addresses - 3, self.v6.num_addresses - 2, _MOST_SLOTS))

    def endpoint(self, instance: Instance, slot: int) -> Endpoint:
        """Return the endpoint of a slot from 1 to capacity."""
        if not 1 <= slot <= self.capacity:
            raise NetconfigError(f"slot {slot} is not within 1..{self.capacity}", "set a larger subnet")
        return Endpoint(
            slot=slot,
            interface=instance.interface(slot),
            mac=mac_of(instance, slot),
            ipv4=self.v4[slot + 1],
            ipv6=self.v6[slot + 1],
        )


def mac_of(instance: Instance, slot: int, *, kind: int = 0xC0) -> str:
    """Return a locally administered unicast address: 02, the kind of link, the tag folded to two bytes, the slot."""
    tag = int(instance.id, 36) & 0xFFFF
    octets = (0x02, kind, *tag.to_bytes(2), *slot.to_bytes(2))
    return ":".join(f"{octet:02x}" for octet in octets)


def link_local(mac: str) -> IPv6Address:
    """Return the address that a kernel gives itself on a link (RFC 4291 appendix A): the MAC with ff:fe inside."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes((octets[0] ^ 0x02, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return IPv6Address(bytes.fromhex("fe80000000000000") + identifier)
