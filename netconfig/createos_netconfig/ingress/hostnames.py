"""The names that ingress answers to: `<label>-<port>.<domain>`, the label being a lower-case ULID."""

from __future__ import annotations

import re
from dataclasses import dataclass

PORT_PLACEHOLDER = "<port>"
_NAME = re.compile(r"([0-9a-hjkmnp-tv-z]{26})-([1-9][0-9]{0,4})")
_HIGHEST_PORT = 65_535


@dataclass(frozen=True)
class Place:
    """Where a name leads: whose service, and on which port."""

    label: str
    port: int


def place_of(host: str, domain: str) -> Place | None:
    """Return what a Host header or server name means (any port of ours behind it is ignored); None for other names."""
    name = host.lower().partition(":")[0].rstrip(".")
    found = _NAME.fullmatch(name.removesuffix(f".{domain}")) if name.endswith(f".{domain}") else None
    port = int(found[2]) if found else 0
    return Place(found[1], port) if found and port <= _HIGHEST_PORT else None


def template(scheme: str, label: str, domain: str, port: int) -> str:
    """Return the URL of a label's services with the literal `<port>` in it (wire-api 5.6)."""
    usual = {"https": 443, "http": 80}[scheme]
    behind = "" if port == usual else f":{port}"
    return f"{scheme}://{label}-{PORT_PLACEHOLDER}.{domain}{behind}"
