"""What would become of a connection, and why: the rules of the kernel and of the relay in words, decided purely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from createos_netconfig.closed import HOST, METADATA, SANDBOXES
from createos_netconfig.egress_base import WEB_PORTS
from createos_netconfig.errors import NetconfigError
from createos_netconfig.reasons import Reason
from createos_netconfig.rules import EVERY_PORT, Address, Rule, Rules, as_address, normal_name

_CLOSED = {METADATA: Reason.METADATA, SANDBOXES: Reason.SANDBOX, HOST: Reason.HOST}
Closed = Callable[[Address], str]


@dataclass(frozen=True)
class Explanation:
    """`rules` are those that decide; `why` is one sentence."""

    allowed: bool
    why: str
    rules: tuple[str, ...] = ()


def explain(rules: Rules, host: str, port: int, closed: Closed, learned: Sequence[Address] = ()) -> Explanation:
    """Return what becomes of a connection to a host on a port, 0 for any; NetconfigError when that is no host.

    *closed* says in one word why an address is closed to all, *learned* are addresses that names brought in lately.
    """
    if not 0 <= port <= 65_535:
        raise NetconfigError(f"{port} is no port", "use one from 1 to 65535")
    address = as_address(host)
    if address:
        return _of_address(rules, address, port, closed, learned)
    name = normal_name(host)
    if not name:
        raise NetconfigError(f"{host[:60]!r} is neither a host name nor an address", "write HOST or HOST:PORT")
    return _of_name(rules, name, port)


def _of_address(rules: Rules, address: Address, port: int, closed: Closed, learned: Sequence[Address]) -> Explanation:
    why = closed(address)
    if why:
        return Explanation(
            False, f"{address} is refused whatever the rules say: {_CLOSED.get(why, Reason.PRIVATE).words}"
        )
    if rules.open:
        return Explanation(True, _OPEN)
    found = rules.holding(address)
    fitting = [rule for rule in found if rule.admits_port(port) or port == EVERY_PORT]
    if fitting:
        return Explanation(True, f"{address} is allowed{_ports(fitting, port)}", _texts(fitting))
    if found:
        return Explanation(False, f"{address} is allowed{_ports(found, EVERY_PORT)}, not on port {port}", _texts(found))
    if address in learned:
        return Explanation(
            True, f"a listed name has this address at present; {_SEEN if port in WEB_PORTS else 'it passes as such'}"
        )
    hint = "; it would pass while a listed name has this address" if rules.by_name else ""
    return Explanation(False, f"{Reason.UNLISTED.words}: {address}{hint}")


def _of_name(rules: Rules, name: str, port: int) -> Explanation:
    if rules.open:
        return Explanation(True, _OPEN)
    found = rules.naming(name)
    fitting = [rule for rule in found if rule.admits_port(port) or port == EVERY_PORT]
    if fitting:
        way = f"; {_SEEN}" if port in WEB_PORTS else ""
        return Explanation(True, f"{name} is allowed{_ports(fitting, port)}{way}", _texts(fitting))
    if found:
        return Explanation(False, f"{name} is allowed{_ports(found, EVERY_PORT)}, not on port {port}", _texts(found))
    near = [rule for rule in rules.rules if rule.wildcard and rule.name == name]
    hint = f"; {near[0].text} is for names below it only" if near else ""
    return Explanation(False, f"{Reason.NAME.words}: {name} does not resolve{hint}", _texts(near))


_OPEN = "the sandbox has no egress rules, so everything outside is allowed"
_SEEN = "the connection must say the name (TLS server name, HTTP Host), and QUIC is refused"


def _ports(rules: Sequence[Rule], port: int) -> str:
    ports = sorted({rule.port for rule in rules})
    if EVERY_PORT in ports:
        return " on every port" if port == EVERY_PORT else ""
    return f" on port {', '.join(map(str, ports))}" if port == EVERY_PORT else ""


def _texts(rules: Sequence[Rule]) -> tuple[str, ...]:
    return tuple(rule.text for rule in rules)
