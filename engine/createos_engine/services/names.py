"""The names of sandboxes on private networks: who asks decides what a name means (design 10)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from createos_engine.services.members import Members
from createos_engine.services.network import Network
from createos_engine.store.memberships import MembershipStore

DOMAIN = "fc.local"
# A name of two labels and the domain is the longest there is: name.network.fc.local.
_MOST_LABELS = 2

Address = IPv4Address | IPv6Address


class Names:
    """Answers `<name>`, `<name>.fc.local`, `<name>.<network>.fc.local`, `<id>.fc.local` for members of a network."""

    def __init__(self, memberships: MembershipStore, members: Members, network: Network) -> None:
        self._memberships = memberships
        self._members = members
        self._network = network

    def addresses(self, source: Address, name: str) -> Sequence[Address] | None:
        """Return what *name* means to the sandbox behind a tap's address; None when it means nothing there.

        *name* is in lower case and has no final dot. A name that several common networks know has several addresses.
        """
        asked = split(name)
        slot = self._network.slot_of(source)
        if asked is None or slot is None:
            return None
        label, network = asked
        peers = [row for row, named in self._memberships.peers(slot, label) if network in ("", named)]
        ports = [self._members.port(row) for row in peers]
        return [address for port in ports for address in (port.ipv4.ip, port.ipv6.ip)] or None


def split(name: str) -> tuple[str, str] | None:
    """Return (sandbox, network or empty) of a name that could be one of ours, else None."""
    if "." not in name:
        return (name, "") if name else None
    own = name.removesuffix(f".{DOMAIN}")
    labels = own.split(".")
    if own == name or len(labels) > _MOST_LABELS or not all(labels):
        return None
    return labels[0], labels[1] if len(labels) == _MOST_LABELS else ""
