"""What one sandbox may reach, as elements of the egress table's sets: added, changed and removed in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from createos_netconfig.addresses import Endpoint
from createos_netconfig.expressions import concat, prefix
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command
from createos_netconfig.rules import EVERY_PORT, OPEN, Address, Rules

_LONGEST_COMMENT = 127


@dataclass(frozen=True)
class Learned:
    """An address that a name brought in: for one port, 0 for every port, and for so many seconds."""

    address: Address
    port: int
    seconds: int
    name: str = ""


@dataclass(frozen=True)
class Grant:
    """Everything the kernel is told of a sandbox's rules. The generation marks flows that they allow."""

    endpoint: Endpoint
    rules: Rules = OPEN
    generation: int = 1


def enter(instance: Instance, endpoint: Endpoint) -> list[Command]:
    """Return the commands that begin to count for an interface; repeating them changes nothing."""
    return [_elements("add", instance, name, [endpoint.interface]) for name in ("spent", "got")]


def leave(instance: Instance, endpoint: Endpoint) -> list[Command]:
    """Return the commands that end the counting; the counters are forgotten."""
    ended = [_elements("delete", instance, name, [endpoint.interface]) for name in ("spent", "got")]
    return enter(instance, endpoint) + ended


def put(instance: Instance, grant: Grant) -> list[Command]:
    """Return the commands that let a sandbox out under its rules; nothing of an earlier grant may be left."""
    return _fixed("add", instance, grant)


def take(instance: Instance, grant: Grant) -> list[Command]:
    """Return the commands that take a grant back, which must be the one that is in the kernel."""
    return _fixed("delete", instance, grant)


def learn(instance: Instance, endpoint: Endpoint, learned: Iterable[Learned]) -> list[Command]:
    """Return the commands that let addresses through, or through for longer: taken out and put in at once."""
    commands = []
    for each in learned:
        name, key = _place(endpoint, each)
        commands += [_elements(verb, instance, name, [key]) for verb in ("add", "delete")]
        comment = {"comment": each.name} if 0 < len(each.name) <= _LONGEST_COMMENT else {}
        timed = {"elem": {"val": key, "timeout": max(1, each.seconds), **comment}}
        commands.append(_elements("add", instance, name, [timed]))
    return commands


def unlearn(instance: Instance, endpoint: Endpoint, learned: Iterable[Learned]) -> list[Command]:
    """Return the commands that forget addresses, whether or not their time has come."""
    commands = []
    for each in learned:
        name, key = _place(endpoint, each)
        commands += [_elements(verb, instance, name, [key]) for verb in ("add", "delete")]
    return commands


def meter(instance: Instance, endpoint: Endpoint, remaining_bytes: int) -> list[Command]:
    """Return the commands that let so many bytes more out of an interface that has no quota."""
    name = quota_name(endpoint)
    quota = {"family": "inet", "table": instance.egress_table, "name": name, "bytes": max(0, remaining_bytes)}
    return [
        {"add": {"quota": {**quota, "inv": True}}},
        _elements("add", instance, "quotas", [[endpoint.interface, name]]),
    ]


def unmeter(instance: Instance, endpoint: Endpoint) -> list[Command]:
    """Return the commands that remove the quota that an interface has."""
    name = quota_name(endpoint)
    return [
        _elements("delete", instance, "quotas", [[endpoint.interface, name]]),
        {"delete": {"quota": {"family": "inet", "table": instance.egress_table, "name": name}}},
    ]


def quota_name(endpoint: Endpoint) -> str:
    """Return the name of an interface's quota."""
    return f"quota_{endpoint.slot}"


def _place(endpoint: Endpoint, learned: Learned) -> tuple[str, object]:
    us = str(endpoint.ipv4 if learned.address.version == 4 else endpoint.ipv6)
    kind = f"l{'p' if learned.port else 'a'}{learned.address.version}"
    return kind, concat(us, str(learned.address), *([learned.port] if learned.port else []))


def _fixed(verb: str, instance: Instance, grant: Grant) -> list[Command]:
    commands = []
    for version, us in ((4, str(grant.endpoint.ipv4)), (6, str(grant.endpoint.ipv6))):
        if grant.rules.open:
            commands.append(_elements(verb, instance, f"open{version}", [us]))
            continue
        commands.append(_elements(verb, instance, f"current{version}", [concat(us, grant.generation)]))
        commands.append(_elements(verb, instance, f"generation{version}", [[us, grant.generation]]))
        for port, networks in _by_port(grant.rules, version).items():
            found = [concat(us, prefix(str(net)), *([port] if port else [])) for net in networks]
            commands.append(_elements(verb, instance, f"f{'p' if port else 'a'}{version}", found))
    return commands


def _by_port(rules: Rules, version: int) -> dict[int, list[IPv4Network | IPv6Network]]:
    """Return the networks of a version by port, merged: the kernel refuses intervals that overlap."""
    found: dict[int, list[IPv4Network | IPv6Network]] = {}
    for network, port in rules.networks():
        if network.version == version:
            found.setdefault(port, []).append(network)
    return {port: list(collapse_addresses(found[port])) for port in sorted(found)}  # type: ignore[type-var]


def wanted(rules: Rules, name: str, addresses: Sequence[Address], seconds: int) -> list[Learned]:
    """Return what a name's addresses add under the rules: one element for each address and port."""
    ports = rules.ports_of(name)
    effective = {EVERY_PORT} if EVERY_PORT in ports else ports
    return [Learned(address, port, seconds, name) for address in addresses for port in sorted(effective)]


def _elements(verb: str, instance: Instance, name: str, elements: Sequence[object]) -> Command:
    what = {"family": "inet", "table": instance.egress_table, "name": name, "elem": list(elements)}
    return {verb: {"element": what}}
