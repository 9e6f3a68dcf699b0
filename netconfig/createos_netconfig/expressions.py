"""The few words of libnftables' JSON (libnftables-json(5)) that our rules are made of."""

from __future__ import annotations

from typing import Any

Expression = dict[str, Any]


def meta(key: str) -> Expression:
    """Return a packet's meta value: iifname, oifname, …"""
    return {"meta": {"key": key}}


def field(protocol: str, name: str) -> Expression:
    """Return a header field."""
    return {"payload": {"protocol": protocol, "field": name}}


def ct(key: str, direction: str = "") -> Expression:
    """Return what conntrack knows of a packet's flow; some keys need the direction they are asked for."""
    return {"ct": {"key": key, "dir": direction} if direction else {"key": key}}


def concat(*parts: Any) -> Expression:
    """Return several values as one key."""
    return {"concat": list(parts)}


def match(left: Expression, right: Any, *, op: str = "==") -> Expression:
    """Return a comparison."""
    return {"match": {"op": op, "left": left, "right": right}}


def prefix(network: str) -> Any:
    """Return a network as an element of an interval set."""
    address, _, length = network.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}} if length else address


def reject_tcp() -> Expression:
    """Answer a TCP segment with a reset."""
    return {"reject": {"type": "tcp reset"}}


def reject() -> Expression:
    """Answer with ICMP: administratively prohibited."""
    return {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}


def redirect(port: int) -> Expression:
    """Send to a port of this host, on the address of the interface the packet came in on."""
    return {"redirect": {"port": port}}


def jump(chain: str) -> Expression:
    """Go on in another chain and come back unless it decides."""
    return {"jump": {"target": chain}}


def set_mark(left: Expression, value: int) -> Expression:
    """Write a number into the mark of a packet (meta) or of its flow (ct)."""
    return {"mangle": {"key": left, "value": value}}


TRANSPARENT = match({"socket": {"key": "transparent"}}, 1)
"""The packet is for a socket of ours: no program without CAP_NET_ADMIN has a transparent one."""
ACCEPT: Expression = {"accept": None}
DROP: Expression = {"drop": None}
RETURN: Expression = {"return": None}
MASQUERADE: Expression = {"masquerade": None}


def masquerade(first_port: int) -> Expression:
    """Take the address of the outgoing interface, and a source port not below the given one."""
    return {"masquerade": {"port": {"range": [first_port, 65535]}}}


def goto(chain: str) -> Expression:
    """Go on in another chain and do not come back."""
    return {"goto": {"target": chain}}
