"""The egress table: what each sandbox may reach outside (design 10). Its rules stay; changes are elements of its sets.

The table is one of its own, so that a daemon which starts again replaces base rules without touching what the kernel
knows of each sandbox: learned addresses, the generation of its flows, bytes counted, destinations refused.

| chain | hook | what it does |
|---|---|---|
| entrance | nat prerouting, before everybody's | a gateway's port 53 is our forwarder, web traffic of names our relay |
| doors | input | nobody but sandboxes comes to those two; what sandboxes send to the relay is counted |
| through | forward, after the base rules | out and back by the two chains below; an unknown source gets nothing |
| arrived | postrouting | counts what goes into a tap |

A flow is judged once. An allowed one is marked with its sandbox's generation and passes by that from then on, both
ways; a change of rules brings another generation, so that every flow is judged again at its next packet, whichever side
sends it. Nothing is flushed: what stays allowed goes on, what does not is answered and ends.

All keys begin with the sandbox's own address, which the base rules have compared with its interface. Chains and sets
for each sandbox were tried: libnftables reads them all for every change, 130 ms with a hundred sandboxes present.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from createos_netconfig.addresses import GATEWAY_V4, GATEWAY_V6
from createos_netconfig.expressions import (
    ACCEPT,
    DROP,
    RETURN,
    TRANSPARENT,
    Expression,
    concat,
    ct,
    field,
    goto,
    match,
    meta,
    redirect,
    reject,
    reject_tcp,
    set_mark,
)
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command
from createos_netconfig.reasons import Reason

WEB_PORTS = (80, 443)
VERSIONS = ((4, "ip"), (6, "ip6"))
_TRANSPORTS = match(meta("l4proto"), {"set": ["tcp", "udp"]})
_DNS_PORT = 53
_DENIED_S = 3600
_MOST_DENIED = 65_535
# A sandbox that knocks on many doors is written down this often at most, so that there is room for the others.
_NOTES = {"limit": {"rate": 5, "burst": 200, "per": "second"}}
# The forwarder is one for all: who asks without end is heard this often.
_QUESTIONS = {"limit": {"rate": 200, "burst": 400, "per": "second", "inv": True}}
_HOOKS = (
    ("entrance", "nat", "prerouting", -110),
    ("doors", "filter", "input", -9),
    ("through", "filter", "forward", -8),
    ("arrived", "filter", "postrouting", -9),
)
_CHAINS = ("out", "back", "spend", "no", "cut")


@dataclass(frozen=True)
class Doors:
    """Ports of this host that sandboxes are let in to, on sockets of ours; 0 where there is none."""

    dns: int = 0
    relay: int = 0

    @property
    def ports(self) -> list[int]:
        """Those there are."""
        return sorted({port for port in (self.dns, self.relay) if port})


CLOSED = Doors()


def install(instance: Instance, doors: Doors, *, present: bool) -> list[Command]:
    """Return the commands that make the table, or renew the rules of one that is `present` and keep its sets."""
    commands = [_add("table", name=instance.egress_table)]
    commands += _sets(instance) + ([] if present else written_sets(instance.egress_table, asked=True))
    for name, kind, hook, priority in _HOOKS:
        commands.append(_chain(instance, name, type=kind, hook=hook, prio=priority, policy="accept"))
    commands += [_chain(instance, name) for name in _CHAINS]
    commands += [_flush_chain(instance, name) for name in (*_CHAINS, *(hook[0] for hook in _HOOKS))]
    commands += _entrance(instance, doors) + _doors(instance, doors) + _through(instance)
    arrived = [match(meta("oifname"), instance.pattern), match(meta("oifname"), "@got"), ACCEPT]
    return commands + _rules(instance, "arrived", arrived) + _judging(instance) + _refusing(instance)


def remove(instance: Instance) -> list[Command]:
    """Return the commands that remove the table, whether or not it exists."""
    table = {"table": {"family": "inet", "name": instance.egress_table}}
    return [{"add": table}, {"delete": table}]


def _sets(instance: Instance) -> list[Command]:
    made = [
        _set(instance, "spent", "ifname", stmt=[{"counter": None}]),
        _set(instance, "got", "ifname", stmt=[{"counter": None}]),
        _add("map", table=instance.egress_table, name="quotas", type="ifname", map="quota"),
    ]
    for version, _ in VERSIONS:
        address = f"ipv{version}_addr"
        made += [
            _set(instance, f"open{version}", address),
            _set(instance, f"current{version}", [address, "mark"]),
            _add(
                "map",
                table=instance.egress_table,
                name=f"generation{version}",
                type=address,
                map="mark",
            ),
            _set(instance, f"fa{version}", [address, address], flags=["interval"]),
            _set(instance, f"fp{version}", [address, address, "inet_service"], flags=["interval"]),
            _set(instance, f"la{version}", [address, address], flags=["timeout"]),
            _set(instance, f"lp{version}", [address, address, "inet_service"], flags=["timeout"]),
        ]
    return made


def written_sets(table: str, *, asked: bool) -> list[Command]:
    """Return the commands for the sets that rules write to; the kernel does not accept a second declaration of one."""
    common = {"family": "inet", "table": table, "flags": ["timeout"]}
    made = [{**common, "name": "noted", "type": "ifname", "timeout": 60, "size": _MOST_DENIED}]
    made += [{**made[0], "name": "asking"}] if asked else []
    for version, _ in VERSIONS:
        kind = ["ifname", f"ipv{version}_addr", "inet_proto", "inet_service", "mark"]
        made.append({**common, "name": f"denied{version}", "type": kind, "timeout": _DENIED_S, "size": _MOST_DENIED})
    return [{"add": {"set": each}} for each in made]


def note(ip: str, version: int) -> list[list[Expression]]:
    """Return rules that count a refused packet under who, where to and why; for ICMP the port is type and code."""
    made = []
    for op, end in (("==", "dport"), ("!=", "sport")):
        key = concat(meta("iifname"), field(ip, "daddr"), meta("l4proto"), field("th", end), meta("mark"))
        made.append(
            [
                match(meta("nfproto"), f"ipv{version}"),
                match(meta("l4proto"), {"set": ["tcp", "udp"]}, op=op),
                _update("noted", meta("iifname"), _NOTES),
                _update(f"denied{version}", key, {"counter": None}),
            ]
        )
    return made


def _update(name: str, key: Expression, statement: Expression) -> Expression:
    return {"set": {"op": "update", "elem": key, "set": f"@{name}", "stmt": [statement]}}


def _entrance(instance: Instance, doors: Doors) -> list[Command]:
    ours = match(meta("iifname"), instance.pattern)
    made = []
    for (_, ip), gateway in zip(VERSIONS, (GATEWAY_V4, GATEWAY_V6), strict=True):
        if doors.dns:
            port = match(field("th", "dport"), _DNS_PORT)
            made.append([ours, match(field(ip, "daddr"), str(gateway)), _TRANSPORTS, port, redirect(doors.dns)])
    if doors.relay:
        # An address of the host stays one: it is refused where it goes, and the relay must not dial it.
        unicast = match({"fib": {"result": "type", "flags": ["daddr"]}}, "unicast", op="!=")
        tcp, web = match(meta("l4proto"), "tcp"), match(field("tcp", "dport"), {"set": list(WEB_PORTS)})
        made.append([ours, unicast, RETURN])
        for version, ip in VERSIONS:
            made += [[ours, tcp, where, RETURN] for _, where in _lookups(version, ip, "f", "d")]
            made += [[ours, web, where, redirect(doors.relay)] for _, where in _lookups(version, ip, "l", "d")]
    return _rules(instance, "entrance", *made)


def _doors(instance: Instance, doors: Doors) -> list[Command]:
    ours, others = (match(meta("iifname"), instance.pattern, op=op) for op in ("==", "!="))
    made: list[list[Expression]] = []
    if doors.ports:
        ports = match(field("th", "dport"), {"set": doors.ports})
        made.append([others, _TRANSPORTS, ports, TRANSPARENT, DROP])
    if doors.dns:
        too_often = _update("asking", meta("iifname"), _QUESTIONS)
        made.append([ours, match(field("udp", "dport"), doors.dns), too_often, DROP])
    if doors.relay:
        made.append([ours, match(field("tcp", "dport"), doors.relay), goto("spend")])
    return _rules(instance, "doors", *made)


def _through(instance: Instance) -> list[Command]:
    from_us, to_us = match(meta("iifname"), instance.pattern), match(meta("oifname"), instance.pattern)
    return _rules(instance, "through", [from_us, goto("out")], [to_us, goto("back")])


def _judging(instance: Instance) -> list[Command]:
    out: list[list[Expression]] = []
    back: list[list[Expression]] = []
    marked_out: list[list[Expression]] = []
    marked_back: list[list[Expression]] = []
    for version, ip in VERSIONS:
        us_out, us_back = field(ip, "saddr"), field(ip, "daddr")
        for us, made, verdict in ((us_out, out, goto("spend")), (us_back, back, ACCEPT)):
            made.append([match(us, f"@open{version}"), verdict])
            made.append([match(concat(us, ct("mark")), f"@current{version}"), verdict])
        mark_out, mark_back = _generation(us_out, version), _generation(us_back, version)
        for kind in ("f", "l"):
            for with_port, where in _lookups(version, ip, kind, "d"):
                marked_out += _nameless(where, "d") if kind == "l" else []
                marked_out.append([*_ported(with_port), where, mark_out, goto("spend")])
            for with_port, where in _lookups(version, ip, kind, "s"):
                marked_back += _nameless(where, "s") if kind == "l" else []
                marked_back.append([*_ported(with_port), where, mark_back, ACCEPT])
    unlisted = [set_mark(meta("mark"), Reason.UNLISTED.mark), goto("no")]
    return _rules(instance, "out", *out, *marked_out, unlisted) + _rules(
        instance, "back", *back, *marked_back, [goto("cut")]
    )


def _nameless(where: Expression, side: str) -> list[list[Expression]]:
    """Refuse web ports of learned addresses: there the relay has to see the name, and it is not on this way."""
    made = []
    for protocol, reason in (("tcp", Reason.UNNAMED), ("udp", Reason.QUIC)):
        web = match(field(protocol, f"{side}port"), {"set": list(WEB_PORTS)})
        refused = [set_mark(meta("mark"), reason.mark), goto("no")] if side == "d" else [goto("cut")]
        made.append([web, where, *refused])
    return made


def _ported(with_port: bool) -> list[Expression]:
    return [_TRANSPORTS] if with_port else []


def _generation(us: Expression, version: int) -> Expression:
    return {"mangle": {"key": ct("mark"), "value": {"map": {"key": us, "data": f"@generation{version}"}}}}


def _lookups(version: int, ip: str, kind: str, side: str) -> list[tuple[bool, Expression]]:
    """Return (with port, look-up) for the sets of a kind, f for fixed or l for learned; `side` is the outside's."""
    us, them = field(ip, "saddr" if side == "d" else "daddr"), field(ip, f"{side}addr")
    return [
        (False, match(concat(us, them), f"@{kind}a{version}")),
        (True, match(concat(us, them, field("th", f"{side}port")), f"@{kind}p{version}")),
    ]


def _refusing(instance: Instance) -> list[Command]:
    over = {"quota": {"map": {"key": meta("iifname"), "data": "@quotas"}}}
    spend = [over, set_mark(meta("mark"), Reason.QUOTA.mark), goto("no")], [match(meta("iifname"), "@spent"), ACCEPT]
    tcp = match(meta("l4proto"), "tcp")
    noted = [rule for version, ip in VERSIONS for rule in note(ip, version)]
    return (
        _rules(instance, "spend", *spend, [DROP])
        + _rules(instance, "no", *noted, [tcp, reject_tcp()], [reject()])
        + _rules(instance, "cut", [tcp, reject_tcp()], [DROP])
    )


def _chain(instance: Instance, name: str, **options: object) -> Command:
    return _add("chain", table=instance.egress_table, name=name, **options)


def _flush_chain(instance: Instance, name: str) -> Command:
    return {"flush": {"chain": {"family": "inet", "table": instance.egress_table, "name": name}}}


def _rules(instance: Instance, name: str, *made: Sequence[Expression]) -> list[Command]:
    return [_add("rule", table=instance.egress_table, chain=name, expr=list(rule)) for rule in made]


def _set(instance: Instance, name: str, kind: object, **options: object) -> Command:
    return _add("set", table=instance.egress_table, name=name, type=kind, **options)


def _add(kind: str, **what: object) -> Command:
    return {"add": {kind: {"family": "inet", **what}}}
