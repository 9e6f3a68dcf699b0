"""The words of private networks as plain data (wire-api 13)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from createos_engine.words import State


@dataclass(frozen=True)
class Member:
    """A sandbox on a private network. `ip` is its address there; empty while it has none (wire-api 13)."""

    sandbox_id: str
    name: str
    state: State
    ip: str = ""


@dataclass(frozen=True)
class PrivateNetwork:
    """A private network of a user. `slot` is the number from which bridge and subnets are derived."""

    id: str
    user_id: str
    name: str
    slot: int
    created_at: datetime
    member_count: int = 0
    members: tuple[Member, ...] = ()


class Stage(StrEnum):
    """How far a membership is: only a `member` is one; the others are begun and not finished."""

    JOINING = "joining"
    MEMBER = "member"
    LEAVING = "leaving"


@dataclass(frozen=True)
class Membership:
    """A sandbox's place on a private network: `slot` numbers the port, `number` the address within the subnet."""

    network_id: str
    network_slot: int
    sandbox_id: str
    slot: int
    number: int
    stage: Stage


@dataclass(frozen=True)
class IngressFacts:
    """What public URLs are made of. A port that is None is not open; `certificate` is PEM, empty when all is off."""

    domain: str
    certificate: str
    https_port: int | None
    http_port: int | None
    problems: tuple[str, ...] = ()
