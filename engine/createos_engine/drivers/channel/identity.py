"""What makes a guest this sandbox and no other: names, clock, randomness, addresses."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass


@dataclass(frozen=True)
class InterfaceConfig:
    """A network interface, found by MAC. Addresses have a prefix length; gateways are on-link.

    In a guest that was copied from another the interface is found by the MAC of that one, which it `replaces`.
    """

    mac: str
    addresses: tuple[str, ...]
    gateways: tuple[str, ...]
    mtu: int = 1500
    replaces: str = ""

    def request(self) -> dict[str, object]:
        """Return it as the protocol wants it."""
        return {
            "mac": self.mac,
            "addresses": list(self.addresses),
            "gateways": list(self.gateways),
            "mtu": self.mtu,
            "replaces": self.replaces,
        }


@dataclass(frozen=True)
class Identity:
    """Everything that must differ between two guests that began as the same image or snapshot.

    `renew` is for a guest whose memory is a copy of another's: host keys and all that was made once are made anew.
    """

    hostname: str
    clock_unix_ns: int
    entropy: bytes
    dns_servers: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    interfaces: tuple[InterfaceConfig, ...] = ()
    machine_id: str = ""
    renew: bool = False

    def request(self) -> dict[str, object]:
        """Return the body of a `configure` request."""
        return {
            "hostname": self.hostname,
            "clock_unix_ns": self.clock_unix_ns,
            "entropy_base64": b64encode(self.entropy).decode(),
            "dns": {"servers": list(self.dns_servers), "search": list(self.dns_search)},
            "interfaces": [interface.request() for interface in self.interfaces],
            "machine_id": self.machine_id,
            "renew": self.renew,
        }
