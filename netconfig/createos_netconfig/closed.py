"""Which addresses are never a way out, whatever rules say: what base rules refuse in the kernel, as a function."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from createos_netconfig.addresses import Pool
from createos_netconfig.ranges import METADATA_V4, METADATA_V6, PRIVATE_V4, PRIVATE_V6
from createos_netconfig.rules import Address

METADATA, SANDBOXES, PRIVATE, HOST = "metadata", "sandbox", "private", "host"


@dataclass(frozen=True)
class Closed:
    """What is closed to sandboxes of a pool. `allowed` are private networks that the host's owner opened."""

    pool: Pool
    allowed: tuple[IPv4Network | IPv6Network, ...] = ()

    @cached_property
    def _private(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(map(ip_network, (*PRIVATE_V4, *PRIVATE_V6)))

    def why(self, address: Address) -> str:
        """Return why an address cannot be reached, in one word, and nothing when it can."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            return PRIVATE
        if address in map(ip_address, (*METADATA_V4, *METADATA_V6)):
            return METADATA
        if address in self.pool.v4 or address in self.pool.v6:
            return SANDBOXES
        if is_local(address):
            return HOST
        if any(address in network for network in self.allowed):
            return ""
        return PRIVATE if any(address in network for network in self._private) else ""


def is_local(address: Address) -> bool:
    """Tell whether an address is this host's own: the kernel then answers from it. Sends nothing."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
            return bool(probe.getsockname()[0] == str(address))
        except OSError:
            return False
