"""How values of the domain are written into columns and read back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime


def to_text(moment: datetime) -> str:
    """Return a UTC time as text that sorts in time's order, with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_time(text: str) -> datetime:
    """Return the time that `to_text` wrote."""
    return datetime.fromisoformat(text)


def optional_time(text: str | None) -> datetime | None:
    """Return the time of a column that may be NULL."""
    return None if text is None else to_time(text)


def first_free(taken: Iterable[int], capacity: int) -> int | None:
    """Return the lowest number of 1..capacity that is not taken; None when all are."""
    used = set(taken)
    return next((number for number in range(1, capacity + 1) if number not in used), None)
