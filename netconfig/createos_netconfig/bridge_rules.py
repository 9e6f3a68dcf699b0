"""What may pass on private networks, as a pure function: commands for libnftables (design 9).

Everything is decided in the bridge family and without state: `ct` and `reject` are missing there in some kernels.

| chain | hook | what it decides |
|---|---|---|
| from | prerouting | a frame from a port must be its own: MAC, IPv4, IPv6, ARP, neighbour discovery; no VLAN |
| across | forward | from one port of ours to another, never to or from anything else on the bridge |
| to_host | input | nothing: a frame for the bridge itself would reach every address of the host |
| from_host | output | nothing: the host says nothing on these networks |
| ports_… | inet, arp | nothing passes between these interfaces and the host or its routes, bridged or not |

`from` also takes the mark off that a port's latch has put on: what this table has not seen reaches no other port.
Each port has a chain of its own, reached through a verdict map; a port without one gets nothing. A chain has constants
instead of look-ups because the target of a neighbour advertisement cannot be part of a set's key before nftables 1.0.7.

The names of bridges and ports fit no pattern of the rules for taps. With bridge-nf-call-iptables set, the kernel shows
bridged packets to the inet chains with the bridge as both interfaces: those of ours let that pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address

from createos_netconfig.addresses import link_local
from createos_netconfig.expressions import ACCEPT, DROP, Expression, field, goto, match, meta, set_mark
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command
from createos_netconfig.segments import Port

# Before br_netfilter (linux/netfilter_bridge.h: NF_BR_PRI_BRNF is 0) and everybody's filters.
_FIRST = -300
_RAW = -450
# RFC 4861 4.3, 4.4: a message without options, and with one option of eight bytes.
_PLAIN_BYTES, _ONE_OPTION_BYTES = 24, 32
_TARGET_BITS = 64, 128
_OPTION_MAC_BITS = 208, 48
_HOOKS = (("from", "prerouting"), ("across", "forward"), ("to_host", "input"), ("from_host", "output"))


def install(instance: Instance, ports: Sequence[Port]) -> list[Command]:
    """Return the commands that put the bridge table in place with *ports*, replacing what was there."""
    table = {"family": "bridge", "name": instance.table}
    commands: list[Command] = [*remove(instance), {"add": {"table": table}}]
    commands.append(_add(instance, "map", name="ports", type="ifname", map="verdict"))
    for name, hook in _HOOKS:
        commands.append(_base(instance, "bridge", name, hook, _FIRST))
    commands += _rules(instance, "from", *_from_rules(instance))
    commands += _rules(instance, "across", *_across_rules(instance))
    commands += _rules(instance, "to_host", [match(meta("iifname"), instance.port_pattern), DROP])
    commands += _rules(instance, "from_host", [match(meta("oifname"), instance.port_pattern), DROP])
    for port in ports:
        commands += admit(instance, port)
    return commands


def remove(instance: Instance) -> list[Command]:
    """Return the commands that remove the bridge table, whether or not it exists."""
    table = {"table": {"family": "bridge", "name": instance.table}}
    return [{"add": table}, {"delete": table}]


def routed(instance: Instance) -> list[Command]:
    """Return the commands that keep ports and bridges out of the routed world; for the tables `inet` and `arp`.

    A port whose bridge is gone is an interface of the host like any other: what comes from it is dropped.
    """
    port, bridge = instance.port_pattern, instance.bridge_pattern
    outside = match(meta("oifname"), bridge, op="!=")
    chains = (
        ("inet", "ports_in", "prerouting", _RAW, [[match(meta("iifname"), port), DROP]]),
        ("inet", "ports_host", "input", -10, [[match(meta("iifname"), bridge), DROP]]),
        ("inet", "ports_out", "output", -10, [[match(meta("oifname"), name), DROP] for name in (port, bridge)]),
        (
            "inet",
            "ports_route",
            "forward",
            -10,
            [
                [match(meta("iifname"), bridge), outside, DROP],
                [match(meta("oifname"), bridge), match(meta("iifname"), bridge, op="!="), DROP],
                [match(meta("oifname"), port), DROP],
            ],
        ),
        ("arp", "ports_arp", "input", -10, [[match(meta("iifname"), name), DROP] for name in (port, bridge)]),
    )
    commands: list[Command] = []
    for family, name, hook, priority, rules in chains:
        commands.append(_base(instance, family, name, hook, priority))
        commands += _rules(instance, name, *rules, family=family)
    return commands


def admit(instance: Instance, port: Port) -> list[Command]:
    """Return the commands that let a port's own frames in; doing it twice changes nothing."""
    chain = _chain_of(port.slot)
    return [
        _add(instance, "chain", name=chain),
        {"flush": {"chain": {"family": "bridge", "table": instance.table, "name": chain}}},
        *_rules(instance, chain, *_port_rules(port)),
        _element("add", instance, port.slot),
    ]


def expel(instance: Instance, slot: int) -> list[Command]:
    """Return the commands that shut a port out; one that is not in is added first so that this cannot fail."""
    chain = {"family": "bridge", "table": instance.table, "name": _chain_of(slot)}
    return [
        _add(instance, "chain", name=_chain_of(slot)),
        _element("add", instance, slot),
        _element("delete", instance, slot),
        {"flush": {"chain": chain}},
        {"delete": {"chain": chain}},
    ]


def _from_rules(instance: Instance) -> list[list[Expression]]:
    ours = match(meta("iifname"), instance.port_pattern)
    kinds = match(field("ether", "type"), {"set": ["ip", "ip6", "arp"]}, op="!=")
    judged = set_mark(meta("mark"), 0)
    return [
        [ours, judged],
        [ours, kinds, DROP],
        [ours, {"vmap": {"key": meta("iifname"), "data": "@ports"}}],
        [ours, DROP],
    ]


def _across_rules(instance: Instance) -> list[list[Expression]]:
    ours = instance.port_pattern
    return [
        [match(meta("iifname"), ours), match(meta("oifname"), ours, op="!="), DROP],
        [match(meta("oifname"), ours), match(meta("iifname"), ours, op="!="), DROP],
    ]


def _port_rules(port: Port) -> list[list[Expression]]:
    v4, own = str(port.ipv4.ip), [str(port.ipv6.ip), str(link_local(port.mac))]
    of_ethernet = [match(field("arp", name), value) for name, value in (("htype", 1), ("hlen", 6), ("plen", 4))]
    said = [match(field("arp", "saddr ether"), port.mac), match(field("arp", "saddr ip"), v4)]
    return [
        [match(field("ether", "saddr"), port.mac, op="!="), DROP],
        [*of_ethernet, *said, ACCEPT],
        [match(field("ip", "saddr"), v4), ACCEPT],
        [match(field("ip6", "saddr"), {"set": own}, op="!="), DROP],
        # A routing header lets a sender choose the way; nothing that guests need uses it.
        [match({"exthdr": {"name": "rt"}}, True), DROP],
        *_discovery_rules(port, own),
        [match(meta("protocol"), "ip6"), ACCEPT],
        [DROP],
    ]


def _discovery_rules(port: Port, own: Sequence[str]) -> list[list[Expression]]:
    """No port may be a router or say where another's address is; the only option is the sender's own MAC."""
    kind = field("icmpv6", "type")
    plain = match(field("ip6", "length"), _PLAIN_BYTES)
    with_mac = match(field("ip6", "length"), _ONE_OPTION_BYTES), match(_raw(*_OPTION_MAC_BITS), _hex_mac(port.mac))
    advertises = [[match(kind, "nd-neighbor-advert"), match(_raw(*_TARGET_BITS), _hex_v6(target))] for target in own]
    allowed = [[*said, *more, ACCEPT] for said in advertises for more in ((plain,), with_mac)]
    asked = [[match(kind, "nd-neighbor-solicit"), *more, ACCEPT] for more in ((plain,), with_mac)]
    messages = ["nd-router-solicit", "nd-router-advert", "nd-neighbor-solicit", "nd-neighbor-advert", "nd-redirect"]
    return [*allowed, *asked, [match(kind, {"set": messages}), DROP]]


def _raw(offset_bits: int, length_bits: int) -> Expression:
    return {"payload": {"base": "th", "offset": offset_bits, "len": length_bits}}


def _hex_mac(mac: str) -> str:
    return f"0x{mac.replace(':', '')}"


def _hex_v6(address: str) -> str:
    return f"0x{IPv6Address(address).packed.hex()}"


def _chain_of(slot: int) -> str:
    return f"port_{slot}"


def _element(verb: str, instance: Instance, slot: int) -> Command:
    element = [instance.port(slot), goto(_chain_of(slot))]
    return {verb: {"element": {"family": "bridge", "table": instance.table, "name": "ports", "elem": [element]}}}


def _base(instance: Instance, family: str, name: str, hook: str, priority: int) -> Command:
    return _add(instance, "chain", family, name=name, type="filter", hook=hook, prio=priority, policy="accept")


def _rules(instance: Instance, chain: str, *rules: list[Expression], family: str = "bridge") -> list[Command]:
    return [_add(instance, "rule", family, chain=chain, expr=rule) for rule in rules]


def _add(instance: Instance, kind: str, family: str = "bridge", **what: object) -> Command:
    return {"add": {kind: {"family": family, "table": instance.table, **what}}}
