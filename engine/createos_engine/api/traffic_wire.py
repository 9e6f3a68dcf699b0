"""Answers about what leaves and enters sandboxes (wire-api 11, 12)."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict


class EgressView(TypedDict):
    """The egress rules of a sandbox; none means that everything outside is allowed."""

    id: str
    egress: list[str]


class DenialView(TypedDict):
    """Something that was refused; `port` is left out where there is none, for ICMP it is type and code."""

    target: str
    protocol: NotRequired[str]
    port: NotRequired[int]
    code: str
    reason: str
    count: int
    first_at: str
    last_at: str


class ExplanationView(TypedDict):
    """What would become of a connection; `rules` are those that decide."""

    host: str
    port: NotRequired[int]
    allowed: bool
    reason: str
    rules: list[str]


class BandwidthView(TypedDict):
    """What was sent (counted) and got (observed); -1 means unmetered."""

    id: str
    quota_bytes: int
    used_bytes: int
    ingress_bytes: int
    remaining_bytes: int
    capped: bool
