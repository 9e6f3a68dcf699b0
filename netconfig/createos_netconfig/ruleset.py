"""The firewall as a pure function: commands for libnftables, in a fixed order (design 10).

Packets of interfaces that are not ours pass untouched in every chain. Packets of ours are matched by the prefix of the
interface's name, so that a tap which nobody has admitted gets nothing.

| chain | hook | what it decides |
|---|---|---|
| spoof | prerouting, before conntrack | a packet from a tap must carry that tap's MAC and one of its addresses |
| arp   | arp input | the same for ARP |
| host  | input | nothing of the host can be reached, but replies to connections the host itself opened |
| route | forward | where a sandbox may go, and that nobody comes in |
| leave | postrouting | masquerade towards the outside |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from createos_netconfig.addresses import Endpoint, Pool
from createos_netconfig.expressions import (
    ACCEPT,
    DROP,
    MASQUERADE,
    RETURN,
    Expression,
    concat,
    field,
    goto,
    match,
    meta,
    prefix,
    reject,
    reject_tcp,
)
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command

Network = IPv4Network | IPv6Network

PRIVATE_V4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
)
"""Never the internet (RFC 6890): the host's networks, its metadata service, multicast, reserved."""

PRIVATE_V6 = (
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2001::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
)
"""The same for IPv6, and every form that has an IPv4 address inside and could reach it by a translator."""

_DNS_PORT = 53
_ND = ["nd-neighbor-solicit", "nd-neighbor-advert"]


@dataclass(frozen=True)
class Policy:
    """What sandboxes may reach although it is private: networks, and DNS servers on port 53 only."""

    allow_private: tuple[Network, ...] = ()
    resolvers: tuple[IPv4Address | IPv6Address, ...] = ()


def install(instance: Instance, pool: Pool, policy: Policy, members: Sequence[Endpoint]) -> list[Command]:
    """Return the commands that put everything in place with *members*, replacing what was there, in one transaction."""
    commands = remove(instance)
    commands += [_add("table", family=family, name=instance.table) for family in ("inet", "arp")]
    commands += _sets(instance, policy)
    commands += _chains(instance)
    commands += _spoof_rules(instance) + _arp_rules(instance) + _host_rules(instance)
    commands += _route_rules(instance) + _leave_rules(instance, pool)
    for endpoint in members:
        commands += admit(instance, endpoint)
    return commands


def remove(instance: Instance) -> list[Command]:
    """Return the commands that remove both tables, whether or not they exist."""
    tables = [{"family": family, "name": instance.table} for family in ("inet", "arp")]
    return [{verb: {"table": table}} for table in tables for verb in ("add", "delete")]


def admit(instance: Instance, endpoint: Endpoint) -> list[Command]:
    """Return the commands that let an endpoint in; doing it twice changes nothing."""
    return [_elements("add", instance, *entry) for entry in _entries(endpoint)]


def expel(instance: Instance, endpoint: Endpoint) -> list[Command]:
    """Return the commands that shut an endpoint out; one that is not in is added first so that this cannot fail."""
    return admit(instance, endpoint) + [_elements("delete", instance, *entry) for entry in _entries(endpoint)]


def _entries(endpoint: Endpoint) -> list[tuple[str, str, Expression]]:
    """Return (family, set, element) for everything an endpoint may say it is."""
    name, mac, v4, v6 = endpoint.interface, endpoint.mac, str(endpoint.ipv4), str(endpoint.ipv6)
    return [
        ("inet", "members_v4", concat(name, mac, v4)),
        ("inet", "members_v6", concat(name, mac, v6)),
        ("inet", "members", concat(name, mac)),
        ("arp", "members", concat(name, mac, v4)),
    ]


def _elements(verb: str, instance: Instance, family: str, name: str, *elements: object) -> Command:
    return {verb: {"element": {"family": family, "table": instance.table, "name": name, "elem": list(elements)}}}


def _sets(instance: Instance, policy: Policy) -> list[Command]:
    commands = [
        _set(instance, "inet", "members_v4", ["ifname", "ether_addr", "ipv4_addr"]),
        _set(instance, "inet", "members_v6", ["ifname", "ether_addr", "ipv6_addr"]),
        _set(instance, "inet", "members", ["ifname", "ether_addr"]),
        _set(instance, "arp", "members", ["ifname", "ether_addr", "ipv4_addr"]),
    ]
    own = policy.allow_private
    for version, private in ((4, PRIVATE_V4), (6, PRIVATE_V6)):
        kind = f"ipv{version}_addr"
        allowed = [str(network) for network in own if network.version == version]
        resolvers = [str(address) for address in policy.resolvers if address.version == version]
        for name, networks in (("private", list(private)), ("allowed", allowed), ("resolvers", resolvers)):
            commands.append(_set(instance, "inet", f"{name}_v{version}", kind, interval=True))
            if networks:
                elements = [prefix(str(ip_network(network))) for network in networks]
                commands.append(_elements("add", instance, "inet", f"{name}_v{version}", *elements))
    return commands


def _set(instance: Instance, family: str, name: str, kind: object, *, interval: bool = False) -> Command:
    flags: dict[str, object] = {"flags": ["interval"], "auto-merge": True} if interval else {}
    return _add("set", family=family, table=instance.table, name=name, type=kind, **flags)


def _chains(instance: Instance) -> list[Command]:
    hooks = (
        ("inet", "spoof", "filter", "prerouting", -300),
        ("arp", "arp", "filter", "input", 0),
        ("inet", "host", "filter", "input", -10),
        ("inet", "route", "filter", "forward", -10),
        ("inet", "leave", "nat", "postrouting", 100),
    )
    based = [
        _add("chain", family=family, table=instance.table, name=name, type=kind, hook=hook, prio=prio, policy="accept")
        for family, name, kind, hook, prio in hooks
    ]
    return [_add("chain", family="inet", table=instance.table, name="refuse"), *based]


def _spoof_rules(instance: Instance) -> list[Command]:
    ours = match(meta("iifname"), instance.pattern)
    mac = field("ether", "saddr")
    link_local = match(field("ip6", "saddr"), prefix("fe80::/10"))
    discovery = match(field("icmpv6", "type"), {"set": _ND})
    return _rules(
        instance,
        "spoof",
        [ours, match(concat(meta("iifname"), mac, field("ip", "saddr")), "@members_v4"), RETURN],
        [ours, match(concat(meta("iifname"), mac, field("ip6", "saddr")), "@members_v6"), RETURN],
        [ours, link_local, discovery, match(concat(meta("iifname"), mac), "@members"), RETURN],
        [ours, DROP],
    )


def _arp_rules(instance: Instance) -> list[Command]:
    ours = match(meta("iifname"), instance.pattern)
    said = concat(meta("iifname"), field("arp", "saddr ether"), field("arp", "saddr ip"))
    return _rules(instance, "arp", [ours, match(said, "@members"), ACCEPT], [ours, DROP], family="arp")


def _host_rules(instance: Instance) -> list[Command]:
    ours = match(meta("iifname"), instance.pattern)
    replies = match({"ct": {"key": "state"}}, "established", op="in")
    discovery = match(field("icmpv6", "type"), {"set": _ND})
    return _rules(
        instance, "host", [ours, replies, ACCEPT], [ours, discovery, ACCEPT], [ours, goto("refuse")]
    ) + _rules(instance, "refuse", [match(meta("l4proto"), "tcp"), reject_tcp()], [reject()])


def _route_rules(instance: Instance) -> list[Command]:
    from_us, to_us = match(meta("iifname"), instance.pattern), match(meta("oifname"), instance.pattern)
    state = {"ct": {"key": "state"}}
    dns = match(field("th", "dport"), _DNS_PORT)
    rules = [
        [from_us, match(state, "invalid", op="in"), DROP],
        [from_us, to_us, goto("refuse")],
        [to_us, match(state, {"set": ["established", "related"]}, op="in"), ACCEPT],
        [to_us, DROP],
    ]
    for ip, version in (("ip", 4), ("ip6", 6)):
        to = field(ip, "daddr")
        rules += [
            [
                from_us,
                match(to, f"@resolvers_v{version}"),
                match(meta("l4proto"), {"set": ["tcp", "udp"]}),
                dns,
                ACCEPT,
            ],
            [from_us, match(to, f"@allowed_v{version}"), ACCEPT],
            [from_us, match(to, f"@private_v{version}"), goto("refuse")],
        ]
    rules.append([from_us, match({"fib": {"result": "type", "flags": ["daddr"]}}, "unicast", op="!="), goto("refuse")])
    return _rules(instance, "route", *rules)


def _leave_rules(instance: Instance, pool: Pool) -> list[Command]:
    outside = match(meta("oifname"), instance.pattern, op="!=")
    return _rules(
        instance,
        "leave",
        [match(field("ip", "saddr"), prefix(str(pool.v4))), outside, MASQUERADE],
        [match(field("ip6", "saddr"), prefix(str(pool.v6))), outside, MASQUERADE],
    )


def _rules(instance: Instance, chain: str, *rules: list[Expression], family: str = "inet") -> list[Command]:
    return [_add("rule", family=family, table=instance.table, chain=chain, expr=rule) for rule in rules]


def _add(kind: str, **what: object) -> Command:
    return {"add": {kind: what}}
