"""Names of host objects. Everything an instance makes carries its tag, and only what carries it is touched."""

from __future__ import annotations

import re
from dataclasses import dataclass

from createos_netconfig.errors import NetconfigError

# IFNAMSIZ of linux/if.h, without the final NUL.
LONGEST_INTERFACE = 15
_SLOT = re.compile(r"[1-9][0-9]*")
_INSTANCE = re.compile(r"[a-z0-9]{4}")


@dataclass(frozen=True)
class Instance:
    """One engine on this host; `id` is four characters of a-z and 0-9."""

    id: str

    def __post_init__(self) -> None:
        if not _INSTANCE.fullmatch(self.id):
            raise NetconfigError(f"an instance id is four characters of a-z and 0-9, not {self.id!r}")

    @property
    def prefix(self) -> str:
        """What the names of all interfaces of this instance begin with."""
        return f"c{self.id}-"

    @property
    def pattern(self) -> str:
        """The nft wildcard that matches every interface of this instance, registered or not."""
        return f"{self.prefix}*"

    @property
    def port_pattern(self) -> str:
        """The nft wildcard that matches every port of this instance's bridges; no rule for taps matches those."""
        return f"c{self.id}p*"

    @property
    def bridge_pattern(self) -> str:
        """The nft wildcard that matches every bridge of this instance."""
        return f"c{self.id}b*"

    @property
    def table(self) -> str:
        """The name of this instance's nft tables."""
        return f"createos_{self.id}"

    @property
    def egress_table(self) -> str:
        """The name of the table that holds what each sandbox may reach; it outlives changes of the base rules."""
        return f"{self.table}_egress"

    def interface(self, slot: int) -> str:
        """Return the interface name of a slot (1 or more)."""
        return self._name(self.prefix, slot)

    def bridge(self, slot: int) -> str:
        """Return the name of a private network's bridge."""
        return self._name(f"c{self.id}b", slot)

    def port(self, slot: int) -> str:
        """Return the name of a bridge's port: the host's end of a member's second network card."""
        return self._name(f"c{self.id}p", slot)

    def slot(self, interface: str) -> int:
        """Return the slot of an interface name of this instance."""
        if not self.owns(interface):
            raise NetconfigError(f"{interface} is no interface of instance {self.id}")
        return int(interface.removeprefix(self.prefix))

    def owns(self, interface: str) -> bool:
        """Tell whether an interface name is one of this instance."""
        return _numbered(self.prefix, interface) is not None

    def tags(self, interface: str) -> bool:
        """Tell whether an interface of any kind is one of this instance: a tap, a bridge or a port."""
        return self.owns(interface) or bool(self.bridge_slot(interface) or self.port_slot(interface))

    def bridge_slot(self, interface: str) -> int | None:
        """Return the slot of one of our bridges; None for any other name."""
        return _numbered(f"c{self.id}b", interface)

    def port_slot(self, interface: str) -> int | None:
        """Return the slot of a port of one of our bridges; None for any other name."""
        return _numbered(f"c{self.id}p", interface)

    def _name(self, prefix: str, slot: int) -> str:
        name = f"{prefix}{slot}"
        if slot < 1 or len(name) > LONGEST_INTERFACE:
            raise NetconfigError(f"there is no interface name for slot {slot}")
        return name


def _numbered(prefix: str, name: str) -> int | None:
    rest = name.removeprefix(prefix)
    return int(rest) if name.startswith(prefix) and _SLOT.fullmatch(rest) else None
