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
    def table(self) -> str:
        """The name of this instance's nft tables."""
        return f"createos_{self.id}"

    def interface(self, slot: int) -> str:
        """Return the interface name of a slot (1 or more)."""
        name = f"{self.prefix}{slot}"
        if slot < 1 or len(name) > LONGEST_INTERFACE:
            raise NetconfigError(f"there is no interface name for slot {slot}")
        return name

    def slot(self, interface: str) -> int:
        """Return the slot of an interface name of this instance."""
        if not self.owns(interface):
            raise NetconfigError(f"{interface} is no interface of instance {self.id}")
        return int(interface.removeprefix(self.prefix))

    def owns(self, interface: str) -> bool:
        """Tell whether an interface name is one of this instance."""
        return interface.startswith(self.prefix) and bool(_SLOT.fullmatch(interface.removeprefix(self.prefix)))
