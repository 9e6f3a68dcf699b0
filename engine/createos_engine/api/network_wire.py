"""Answers about networks and public URLs as they are on the wire (wire-api 5.6, 13)."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict


class MemberView(TypedDict):
    """A sandbox on a network; `ip` is its address there."""

    sandbox_id: str
    name: str
    status: str
    ip: NotRequired[str]


class NetworkView(TypedDict):
    """A private network."""

    id: str
    name: str
    created_at: str
    member_count: int


class NetworkDetails(NetworkView):
    """A private network with those who are on it."""

    members: list[MemberView]


class NetworkDone(TypedDict):
    """The answer of what changes a network: its id."""

    id: str
    ok: Literal[True]


class IngressView(TypedDict):
    """What public URLs are made of; a port that is not open is left out, as is the certificate when ingress is off."""

    enabled: bool
    domain: str
    certificate: NotRequired[str]
    https_port: NotRequired[int]
    http_port: NotRequired[int]
    problems: NotRequired[list[str]]
