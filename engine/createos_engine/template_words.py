"""The words of templates as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class BuildStatus(StrEnum):
    """How far a template is; the set is closed (wire-api 15)."""

    PENDING = "pending"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class NewTemplate:
    """A Dockerfile to build an image from, and by which builder; empty is the engine's own choice."""

    name: str
    dockerfile: str
    builder: str = ""


@dataclass(frozen=True)
class Template:
    """A user's image. Status, base, Dockerfile, reason and builder are those of the latest attempt to build it.

    `digest`, `size_bytes` and `built_at` are of the newest image that is ready; empty, 0 and None while there is none.
    """

    id: str
    user_id: str
    name: str
    base: str
    status: BuildStatus
    attempt: int
    dockerfile: str
    reason: str
    digest: str
    size_bytes: int
    created_at: datetime
    built_at: datetime | None = None
    deleted: bool = False
    builder: str = ""


@dataclass(frozen=True)
class Build:
    """One attempt to build a template. `attempt` counts from 1."""

    template_id: str
    attempt: int
    dockerfile: str
    status: BuildStatus
    reason: str
    result_key: str
    builder: str = ""


@dataclass(frozen=True)
class LogLine:
    """A line of a build's log."""

    ts: datetime
    line: str
    attempt: int
