"""What the kernel holds of each sandbox in the egress table, read back: after a restart nobody else knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from createos_netconfig.egress import Learned
from createos_netconfig.member import Refused
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command
from createos_netconfig.reasons import of_mark
from createos_netconfig.rules import Address

_FIXED = ("open", "current", "generation", "fa", "fp")
_LEARNED = ("la", "lp")
_DENIED_S = 3600


@dataclass
class Held:
    """The elements of one sandbox: fixed ones as delete commands, learned ones as what they mean."""

    fixed: list[Command] = field(default_factory=list)
    learned: list[Learned] = field(default_factory=list)


def held(instance: Instance, listing: Iterable[Command]) -> dict[Address, Held]:
    """Return what sandboxes hold, by their own address, from a listing of the egress table."""
    found: dict[Address, Held] = defaultdict(Held)
    for name, element in _elements(listing):
        value = _value(element)
        if name.rstrip("46") in _FIXED:
            found[_owner(value)].fixed.append(_delete(instance, name, value))
        elif name.rstrip("46") in _LEARNED:
            _, address, *port = value["concat"]
            meant = element["elem"] if isinstance(element, dict) and "elem" in element else {}
            learned = Learned(
                ip_address(address), port[0] if port else 0, meant.get("expires", 1), meant.get("comment", "")
            )
            found[_owner(value)].learned.append(learned)
    return found


def metered(listing: Iterable[Command]) -> set[str]:
    """Return the interfaces that have a quota, from a listing of the egress table."""
    return {str(element[0]) for name, element in _elements(listing) if name == "quotas"}


def counted(listing: Iterable[Command]) -> dict[str, int]:
    """Return the bytes counted by interface, from a listing of one of the counting sets."""
    return {element["elem"]["val"]: element["elem"]["counter"]["bytes"] for _, element in _elements(listing)}


def refused(listing: Iterable[Command], interface: str) -> list[Refused]:
    """Return what the kernel has refused an interface, from listings of tables with `denied` sets, the latest last."""
    now = datetime.now(UTC)
    found = []
    for name, element in _elements(listing):
        if not name.startswith("denied") or element["elem"]["val"]["concat"][0] != interface:
            continue
        _, target, protocol, port, mark = element["elem"]["val"]["concat"]
        reason = of_mark(mark)
        if reason is not None:
            age = timedelta(seconds=_DENIED_S - element["elem"]["expires"])
            count = element["elem"]["counter"]["packets"]
            found.append(Refused(reason, target, str(protocol), int(port), now - age, now - age, count))
    return sorted(found, key=lambda each: each.last)


def _elements(listing: Iterable[Command]) -> Iterator[tuple[str, Any]]:
    for entry in listing:
        for kind in ("set", "map"):
            if kind in entry:
                yield from ((entry[kind]["name"], element) for element in entry[kind].get("elem", []))


def _value(element: Any) -> Any:
    return element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element


def _owner(value: Any) -> Address:
    """Return the address that an element begins with: of a set, of a concatenation, of a map's pair."""
    if isinstance(value, list):
        return _owner(value[0])
    return ip_address(value["concat"][0] if isinstance(value, dict) else value)


def _delete(instance: Instance, name: str, value: Any) -> Command:
    what = {"family": "inet", "table": instance.egress_table, "name": name, "elem": [value]}
    return {"delete": {"element": what}}
