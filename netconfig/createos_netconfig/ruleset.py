"""The firewall as a pure function: commands for libnftables, in a fixed order (design 10).

Packets of interfaces that are not ours pass untouched in every chain. Packets of ours are matched by the prefix of the
interface's name, so that a tap which nobody has admitted gets nothing.

| chain | hook | what it decides |
|---|---|---|
| spoof | prerouting | a packet from a tap must carry that tap's MAC and one of its addresses, and no route of its own |
| arp   | arp input | the same for ARP |
| host  | input | nothing of the host can be reached, but replies to connections the host itself opened |
| route | forward | where a sandbox may go |
| open  | forward, later | nobody opens a connection to a sandbox; later, so that another engine's sandbox is answered |
| enter | postrouting | what goes into a tap is for the addresses behind it, whoever sends it, whatever routes say |
| leave | postrouting | masquerade towards the outside |

`spoof` comes before the reassembly of fragments (priority -400): the kernel's queue is one for all interfaces, and a
fragment with a false source would end up in somebody else's packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

from createos_netconfig import bridge_rules
from createos_netconfig.addresses import Endpoint, Pool, link_local
from createos_netconfig.egress_base import CLOSED, VERSIONS, Doors, note, written_sets
from createos_netconfig.expressions import (
    ACCEPT,
    DROP,
    MASQUERADE,
    RETURN,
    TRANSPARENT,
    Expression,
    concat,
    ct,
    field,
    goto,
    jump,
    masquerade,
    match,
    meta,
    prefix,
    reject,
    reject_tcp,
    set_mark,
)
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command
from createos_netconfig.ranges import METADATA_V4, METADATA_V6, PRIVATE_V4, PRIVATE_V6
from createos_netconfig.reasons import Reason

Network = IPv4Network | IPv6Network

_DISCOVERY = match(field("icmpv6", "type"), {"set": ["nd-neighbor-solicit", "nd-neighbor-advert"]})
_REPLIES = match(ct("state"), "established", op="in"), match(ct("direction"), "reply")
_RELATED = match(ct("state"), "related", op="in")
_TRANSPORTS = match(meta("l4proto"), {"set": ["tcp", "udp"]})
_DNS_PORT = 53
# Before conntrack's defragmentation (linux/netfilter_ipv4.h: NF_IP_PRI_RAW_BEFORE_DEFRAG).
_BEFORE_DEFRAGMENTATION = -450
_IPV4_HEADER_WORDS = 5
_FIRST_UNPRIVILEGED_PORT = 1024
# Above the ports that Linux gives to connections of the host (ip_local_port_range) and that services use.
_FIRST_FORWARDED_PORT = 61000


@dataclass(frozen=True)
class Policy:
    """What sandboxes may reach although it is private: networks, and DNS servers on port 53 only."""

    allow_private: tuple[Network, ...] = ()
    resolvers: tuple[IPv4Address | IPv6Address, ...] = ()


def install(
    instance: Instance, pool: Pool, policy: Policy, members: Sequence[Endpoint], doors: Doors = CLOSED
) -> list[Command]:
    """Return the commands that put everything in place with *members*, replacing what was there, in one transaction."""
    commands = remove(instance)
    commands += [_add("table", family=family, name=instance.table) for family in ("inet", "arp")]
    commands += _sets(instance, pool, policy)
    commands += _chains(instance)
    commands += _spoof_rules(instance) + _arp_rules(instance) + _host_rules(instance, doors)
    commands += _route_rules(instance) + _open_rules(instance) + _enter_rules(instance) + _leave_rules(instance)
    commands += bridge_rules.routed(instance)
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
    """Return (family, set, element) for everything an endpoint may say it is, and every address it is behind of."""
    name, mac, v4, v6 = endpoint.interface, endpoint.mac, str(endpoint.ipv4), str(endpoint.ipv6)
    return [
        ("inet", "members_v4", concat(name, mac, v4)),
        ("inet", "members_v6", concat(name, mac, v6)),
        ("inet", "members_v6", concat(name, mac, str(link_local(mac)))),
        ("inet", "addresses_v4", concat(name, v4)),
        ("inet", "addresses_v6", concat(name, v6)),
        ("inet", "addresses_v6", concat(name, str(link_local(mac)))),
        ("inet", "members", concat(name, mac)),
        ("arp", "members", concat(name, mac, v4)),
    ]


def _elements(verb: str, instance: Instance, family: str, name: str, *elements: object) -> Command:
    return {verb: {"element": {"family": family, "table": instance.table, "name": name, "elem": list(elements)}}}


def _sets(instance: Instance, pool: Pool, policy: Policy) -> list[Command]:
    commands = [
        _set(instance, "inet", "members_v4", ["ifname", "ether_addr", "ipv4_addr"]),
        _set(instance, "inet", "members_v6", ["ifname", "ether_addr", "ipv6_addr"]),
        _set(instance, "inet", "addresses_v4", ["ifname", "ipv4_addr"]),
        _set(instance, "inet", "addresses_v6", ["ifname", "ipv6_addr"]),
        _set(instance, "inet", "members", ["ifname", "ether_addr"]),
        _set(instance, "arp", "members", ["ifname", "ether_addr", "ipv4_addr"]),
    ]
    closed = {4: (METADATA_V4, (*PRIVATE_V4, str(pool.v4))), 6: (METADATA_V6, (*PRIVATE_V6, str(pool.v6)))}
    for version, (metadata, private) in closed.items():
        allowed = [str(network) for network in policy.allow_private if network.version == version]
        resolvers = [str(address) for address in policy.resolvers if address.version == version]
        for name, networks in (
            ("resolvers", resolvers),
            ("metadata", metadata),
            ("allowed", allowed),
            ("private", private),
        ):
            commands += _intervals(instance, f"{name}_v{version}", f"ipv{version}_addr", networks)
    return commands + written_sets(instance.table, asked=False)


def _intervals(instance: Instance, name: str, kind: str, networks: Sequence[str]) -> list[Command]:
    made = _set(instance, "inet", name, kind, flags=["interval"])
    # The kernel refuses intervals that overlap, and libnftables' JSON knows no auto-merge when it makes a set.
    elements = [prefix(str(network)) for network in _collapsed(networks)]
    return [made, _elements("add", instance, "inet", name, *elements)] if elements else [made]


def _collapsed(networks: Sequence[str]) -> list[Network]:
    """Return the same addresses in networks that do not overlap; all are of one family."""
    if ":" in "".join(networks):
        return list(collapse_addresses(map(IPv6Network, networks)))
    return list(collapse_addresses(map(IPv4Network, networks)))


def _set(instance: Instance, family: str, name: str, kind: object, **options: object) -> Command:
    return _add("set", family=family, table=instance.table, name=name, type=kind, **options)


def _chains(instance: Instance) -> list[Command]:
    hooks = (
        ("inet", "spoof", "filter", "prerouting", _BEFORE_DEFRAGMENTATION),
        ("arp", "arp", "filter", "input", 0),
        ("inet", "host", "filter", "input", -10),
        ("inet", "route", "filter", "forward", -10),
        ("inet", "open", "filter", "forward", -9),
        ("inet", "enter", "filter", "postrouting", -10),
        ("inet", "leave", "nat", "postrouting", 100),
    )
    based = [
        _add("chain", family=family, table=instance.table, name=name, type=kind, hook=hook, prio=prio, policy="accept")
        for family, name, kind, hook, prio in hooks
    ]
    plain = [_add("chain", family="inet", table=instance.table, name=name) for name in ("refuse", "note")]
    return [*plain, *based]


def _spoof_rules(instance: Instance) -> list[Command]:
    ours = match(meta("iifname"), instance.pattern)
    mac = field("ether", "saddr")
    return _rules(
        instance,
        "spoof",
        # IPv4 options and IPv6 routing headers let a sender choose the way; nothing that guests need uses them.
        [ours, match(field("ip", "hdrlength"), _IPV4_HEADER_WORDS, op="!="), DROP],
        [ours, match({"exthdr": {"name": "rt"}}, True), DROP],
        [ours, match(concat(meta("iifname"), mac, field("ip", "saddr")), "@members_v4"), RETURN],
        [ours, match(concat(meta("iifname"), mac, field("ip6", "saddr")), "@members_v6"), RETURN],
        [ours, set_mark(meta("mark"), Reason.SPOOFED.mark), jump("note")],
        [ours, DROP],
    )


def _arp_rules(instance: Instance) -> list[Command]:
    ours = match(meta("iifname"), instance.pattern)
    said = concat(meta("iifname"), field("arp", "saddr ether"), field("arp", "saddr ip"))
    return _rules(instance, "arp", [ours, match(said, "@members"), ACCEPT], [ours, DROP], family="arp")


def _host_rules(instance: Instance, doors: Doors) -> list[Command]:
    ours = match(meta("iifname"), instance.pattern)
    sent_there = match(ct("status"), "dnat", op="in"), _TRANSPORTS, match(field("th", "dport"), {"set": doors.ports})
    host = (
        [ours, *_REPLIES, ACCEPT],
        # What the egress table has sent to a door of ours; whoever else may listen there now gets nothing.
        *([[ours, *sent_there, TRANSPARENT, ACCEPT]] if doors.ports else []),
        [ours, _DISCOVERY, ACCEPT],
        # The kernel looks for the way back of a refusal without regard to the link, and may find the uplink.
        [ours, match(field("ip6", "saddr"), prefix("fe80::/10")), DROP],
        [ours, *_refused(Reason.HOST)],
    )
    noted = [rule for version, ip in VERSIONS for rule in note(ip, version)]
    refuse = [jump("note")], [match(meta("l4proto"), "tcp"), reject_tcp()], [reject()]
    return _rules(instance, "host", *host) + _rules(instance, "note", *noted) + _rules(instance, "refuse", *refuse)


def _refused(reason: Reason) -> list[Expression]:
    """Refuse a packet and write down why."""
    return [set_mark(meta("mark"), reason.mark), goto("refuse")]


def _route_rules(instance: Instance) -> list[Command]:
    from_us, to_us = match(meta("iifname"), instance.pattern), match(meta("oifname"), instance.pattern)
    rules = [[from_us, match(ct("state"), "invalid", op="in"), DROP]]
    for ip, version in (("ip", 4), ("ip6", 6)):
        # An ICMP error quotes a packet, and conntrack believes the quotation: it must be of the sender's own flow.
        opener = concat(meta("iifname"), ct(f"{ip} saddr", "original"))
        rules.append([from_us, _RELATED, match(opener, f"@addresses_v{version}", op="!="), DROP])
    rules += [
        [from_us, to_us, *_refused(Reason.SANDBOX)],
        # A port that the host publishes is the host's service, wherever the packet was sent on to.
        [from_us, match(ct("status"), "dnat", op="in"), *_refused(Reason.HOST)],
    ]
    for ip, version in (("ip", 4), ("ip6", 6)):
        rules += _destination_rules(from_us, field(ip, "daddr"), version)
    unicast = match({"fib": {"result": "type", "flags": ["daddr"]}}, "unicast", op="!=")
    return _rules(instance, "route", *rules, [from_us, unicast, *_refused(Reason.PRIVATE)])


def _open_rules(instance: Instance) -> list[Command]:
    to_us = match(meta("oifname"), instance.pattern)
    errors = match(meta("l4proto"), {"set": ["icmp", "ipv6-icmp"]})
    return _rules(instance, "open", [to_us, *_REPLIES, ACCEPT], [to_us, _RELATED, errors, ACCEPT], [to_us, DROP])


def _destination_rules(from_us: Expression, to: Expression, version: int) -> list[list[Expression]]:
    transports, dns = match(meta("l4proto"), {"set": ["tcp", "udp"]}), match(field("th", "dport"), _DNS_PORT)
    return [
        [from_us, match(to, f"@resolvers_v{version}"), transports, dns, ACCEPT],
        [from_us, match(to, f"@metadata_v{version}"), *_refused(Reason.METADATA)],
        [from_us, match(to, f"@allowed_v{version}"), ACCEPT],
        [from_us, match(to, f"@private_v{version}"), *_refused(Reason.PRIVATE)],
    ]


def _enter_rules(instance: Instance) -> list[Command]:
    to_us = match(meta("oifname"), instance.pattern)
    return _rules(
        instance,
        "enter",
        [to_us, match(concat(meta("oifname"), field("ip", "daddr")), "@addresses_v4"), RETURN],
        [to_us, match(concat(meta("oifname"), field("ip6", "daddr")), "@addresses_v6"), RETURN],
        [to_us, _DISCOVERY, RETURN],
        [to_us, DROP],
    )


def _leave_rules(instance: Instance) -> list[Command]:
    leaving = [match(meta("iifname"), instance.pattern), match(meta("oifname"), instance.pattern, op="!=")]
    tcp, udp = match(meta("l4proto"), "tcp"), match(meta("l4proto"), "udp")
    not_dns = match(field("udp", "dport"), _DNS_PORT, op="!=")
    return _rules(
        instance,
        "leave",
        # A port that the host listens on must not become a sandbox's: what peers send to the host would go to it.
        [*leaving, udp, not_dns, masquerade(_FIRST_FORWARDED_PORT)],
        [*leaving, udp, masquerade(_FIRST_UNPRIVILEGED_PORT)],
        [*leaving, tcp, masquerade(_FIRST_UNPRIVILEGED_PORT)],
        [*leaving, MASQUERADE],
    )


def _rules(instance: Instance, chain: str, *rules: list[Expression], family: str = "inet") -> list[Command]:
    return [_add("rule", family=family, table=instance.table, chain=chain, expr=rule) for rule in rules]


def _add(kind: str, **what: object) -> Command:
    return {"add": {kind: what}}
