"""Rules that undo the latch of a tap, as a pure function: commands for libnftables.

Each tap has a chain of its own in a table that goes when the ruleset is emptied, and then the tap is closed (`latch`).
It is judged by the base rules right after. A frame for another MAC than the gateway's stays unheard.
"""

from __future__ import annotations

from collections.abc import Iterable

from createos_netconfig.addresses import GATEWAY_MAC
from createos_netconfig.expressions import Expression, field, match, meta
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command

_BROADCAST = "ff:ff:ff:ff:ff:ff"
_GROUP = "01:00:00:00:00:00"


def install(instance: Instance, interfaces: Iterable[str]) -> list[Command]:
    """Return the commands that make the table anew, with a chain for each of these interfaces, which must exist."""
    made: list[Command] = [*remove(instance), {"add": {"table": _table(instance)}}]
    return made + [command for interface in interfaces for command in hear(instance, interface)]


def remove(instance: Instance) -> list[Command]:
    """Return the commands that remove the table, whether or not it exists."""
    return [{verb: {"table": _table(instance)}} for verb in ("add", "delete")]


def hear(instance: Instance, interface: str) -> list[Command]:
    """Return the commands that let the host hear an interface, which must exist; repeatable."""
    chain = _chain(instance, interface)
    hook = {"type": "filter", "hook": "ingress", "dev": interface, "prio": 0, "policy": "accept"}
    to = field("ether", "daddr")
    rules = (
        [match(to, GATEWAY_MAC), _become("host")],
        [match(to, _BROADCAST), _become("broadcast")],
        [match({"&": [to, _GROUP]}, _GROUP), match(to, _BROADCAST, op="!="), _become("multicast")],
    )
    added = [{"add": {"rule": {**_in_chain(chain), "expr": rule}}} for rule in rules]
    return [{"add": {"chain": {**chain, **hook}}}, {"flush": {"chain": chain}}, *added]


def ignore(instance: Instance, interface: str) -> list[Command]:
    """Return the commands that end it; one that is not heard, or is gone, is fine."""
    chain = _chain(instance, interface)
    return [{"add": {"table": _table(instance)}}, {"add": {"chain": chain}}, {"delete": {"chain": chain}}]


def _become(kind: str) -> Expression:
    return {"mangle": {"key": meta("pkttype"), "value": kind}}


def _table(instance: Instance) -> dict[str, str]:
    return {"family": "netdev", "name": instance.table}


def _chain(instance: Instance, interface: str) -> dict[str, str]:
    return {"family": "netdev", "table": instance.table, "name": f"tap_{instance.slot(interface)}"}


def _in_chain(chain: dict[str, str]) -> dict[str, str]:
    return {"family": chain["family"], "table": chain["table"], "chain": chain["name"]}
