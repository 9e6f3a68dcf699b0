"""The rules of private networks. They live in the kernel, like those of the firewall."""

from __future__ import annotations

from collections.abc import Sequence

from createos_netconfig import bridge_rules
from createos_netconfig.names import Instance
from createos_netconfig.nft import Nft
from createos_netconfig.segments import Port


class BridgeFirewall:
    """Lets ports in and out; each call is one transaction."""

    def __init__(self, instance: Instance, nft: Nft) -> None:
        self._instance = instance
        self._nft = nft

    def install(self, ports: Sequence[Port]) -> None:
        """Put the rules in place, or replace those of an earlier daemon, with the ports there should be."""
        self._nft.apply(bridge_rules.install(self._instance, ports))

    def admit(self, port: Port) -> None:
        """Let a port's own frames in; repeatable."""
        self._nft.apply(bridge_rules.admit(self._instance, port))

    def expel(self, slot: int) -> None:
        """Refuse every frame of the port with a slot; repeatable, and done when somebody has taken our rules away."""
        if not self.installed():
            return
        self._nft.apply(bridge_rules.expel(self._instance, slot))

    def installed(self) -> bool:
        """Tell whether the rules are there; a firewall that starts again on this host may have flushed them."""
        return bool(self._nft.list(f"table bridge {self._instance.table}"))

    def ports(self) -> frozenset[int]:
        """Return the slots of the ports that are let in."""
        found = self._nft.list(f"table bridge {self._instance.table}")
        maps = [entry["map"] for entry in found if "map" in entry and entry["map"]["name"] == "ports"]
        names = [element[0] for known in maps for element in known.get("elem", [])]
        return frozenset(slot for slot in map(self._instance.port_slot, names) if slot)

    def remove(self) -> None:
        """Remove every rule of private networks."""
        self._nft.apply(bridge_rules.remove(self._instance))
