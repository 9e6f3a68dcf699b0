"""Egress rules as people write them: `host`, `host:port`, `*.domain`, `ip`, `cidr`, `*` (wire-api 11).

A list with one rule or more turns everything else off; no rules, or `*` among them, allow everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from createos_netconfig.errors import NetconfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

EVERY_PORT = 0
MOST_RULES = 4096
LONGEST_RULE = 300
_ALLOWED = "write a host, host:port, *.domain, an address, a network such as 192.0.2.0/24, or *"
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_NAME = 253
_HIGHEST_PORT = 65_535


@dataclass(frozen=True)
class Rule:
    """One destination: a network or a name, `port` 0 for every port. `wildcard` names have the `*.` taken off."""

    text: str
    network: Network | None = None
    name: str = ""
    wildcard: bool = False
    port: int = EVERY_PORT

    @property
    def everything(self) -> bool:
        """Tell whether this is `*`."""
        return self.network is None and not self.name

    def admits_port(self, port: int) -> bool:
        """Tell whether the rule holds for a port."""
        return self.port in (EVERY_PORT, port)


@dataclass(frozen=True)
class Rules:
    """A list of rules, parsed; equal when their texts are."""

    rules: tuple[Rule, ...] = ()
    _exact: dict[str, tuple[Rule, ...]] = field(default_factory=dict, repr=False, compare=False)
    _below: dict[str, tuple[Rule, ...]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for rule in self.rules:
            if rule.name:
                index = self._below if rule.wildcard else self._exact
                index[rule.name] = (*index.get(rule.name, ()), rule)

    @property
    def open(self) -> bool:
        """Tell whether everything is allowed."""
        return not self.rules or any(rule.everything for rule in self.rules)

    @property
    def by_name(self) -> bool:
        """Tell whether names can bring in addresses."""
        return not self.open and bool(self._exact or self._below)

    def networks(self) -> Iterator[tuple[Network, int]]:
        """Return the networks with their ports, 0 for every port."""
        return ((rule.network, rule.port) for rule in self.rules if rule.network is not None)

    def naming(self, name: str) -> list[Rule]:
        """Return the rules for a name in lower case without a final dot: itself, or `*.` of any parent."""
        found = list(self._exact.get(name, ()))
        parent = name.partition(".")[2]
        while parent:
            found += self._below.get(parent, ())
            parent = parent.partition(".")[2]
        return found

    def holding(self, address: Address) -> list[Rule]:
        """Return the rules whose network has an address."""
        return [rule for rule in self.rules if rule.network and address in rule.network]

    def ports_of(self, name: str) -> frozenset[int]:
        """Return the ports a name is allowed on, 0 for every port; nothing when the name is not listed."""
        return frozenset({EVERY_PORT} if self.open else {rule.port for rule in self.naming(name)})

    def allows_name(self, name: str, port: int) -> bool:
        """Tell whether a name may be reached on a port."""
        return bool({EVERY_PORT, port} & self.ports_of(name))


OPEN = Rules()


def parse(texts: Iterable[str]) -> Rules:
    """Return the rules of a list, without repetitions; raise NetconfigError with a sentence for the first bad one."""
    unique = tuple(dict.fromkeys(texts))
    if len(unique) > MOST_RULES:
        raise NetconfigError(f"{len(unique)} rules are too many", f"at most {MOST_RULES} are allowed; use networks")
    return Rules(tuple(map(parse_rule, unique)))


def parse_rule(text: str) -> Rule:
    """Return one rule; raise NetconfigError that says what is wrong with it."""
    if text == "*":
        return Rule(text)
    _refuse_what_is_no_rule(text)
    host, port_text = _split(text)
    port = _port(text, port_text)
    if host.startswith("[") or ":" in host or "/" in host or _looks_like_ipv4(host):
        return Rule(text, network=_network(text, host.removeprefix("[").removesuffix("]")), port=port)
    wildcard = host.startswith("*.")
    return Rule(text, name=_name(text, host[2:] if wildcard else host), wildcard=wildcard, port=port)


def normal_name(name: str) -> str:
    """Return a host name as rules know it: lower case, ASCII, no final dot; empty when it is none."""
    try:
        plain = name.removesuffix(".").encode("idna").decode() if not name.isascii() else name.removesuffix(".")
    except UnicodeError:
        return ""
    plain = plain.lower()
    labels = plain.split(".")
    fits = len(plain) <= _LONGEST_NAME and all(_LABEL.fullmatch(label) for label in labels)
    return plain if fits else ""


def _refuse_what_is_no_rule(text: str) -> None:
    shown = text if len(text) <= LONGEST_RULE else f"{text[:60]}…"
    if not text.strip():
        raise NetconfigError("an egress rule is empty", _ALLOWED)
    if len(text) > LONGEST_RULE:
        raise NetconfigError(f"the egress rule {shown} is longer than {LONGEST_RULE} characters", _ALLOWED)
    if "://" in text:
        raise NetconfigError(f"the egress rule {shown} names a protocol", "leave it out: host or host:port")
    if any(char.isspace() or not char.isprintable() for char in text):
        raise NetconfigError(f"the egress rule {shown!r} has a space or control character in it", _ALLOWED)


def _split(text: str) -> tuple[str, str | None]:
    """Return the host part and what is behind its colon, None when there is no port."""
    if text.startswith("["):
        host, closed, rest = text.partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise NetconfigError(f"the egress rule {text} has a bracket too many or too few", "write [address]:port")
        return f"{host}]", rest[1:] if rest else None
    before, slash, after = text.partition("/")
    if slash:
        length, colon, port = after.partition(":")
        return f"{before}/{length}", port if colon else None
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _port(text: str, port: str | None) -> int:
    if port is None:
        return EVERY_PORT
    if not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= _HIGHEST_PORT):
        raise NetconfigError(f"the egress rule {text} has no port from 1 to {_HIGHEST_PORT}", "write host:port")
    return int(port)


def _looks_like_ipv4(host: str) -> bool:
    """Tell whether the last label is a number: no such top-level domain exists, so an address is meant."""
    return host.rstrip(".").rpartition(".")[2].isdecimal()


def _network(text: str, host: str) -> Network:
    try:
        network = ip_network(host, strict=False)
    except ValueError as exc:
        raise NetconfigError(f"the egress rule {text} is neither an address nor a network", _ALLOWED) from exc
    base = network.network_address
    if isinstance(base, IPv6Address) and (base.scope_id or base.ipv4_mapped):
        raise NetconfigError(
            f"the egress rule {text} is a scoped or mapped address", "write a global IPv6 or a plain IPv4 address"
        )
    return network


def _name(text: str, host: str) -> str:
    name = normal_name(host)
    if not name:
        hint = "* may only be the first label, as in *.example.org" if "*" in host else _ALLOWED
        raise NetconfigError(f"the egress rule {text} is no host name", hint)
    return name


def as_address(host: str) -> Address | None:
    """Return an address written as text, None for anything else."""
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
