"""limit and offset (wire-api 2.2)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import WithJsonSchema

from createos_engine.errors import Invalid
from createos_engine.words import Page

DEFAULT_LIMIT, MAX_LIMIT = 50, 500
# SQLite's largest integer; nothing beyond it can be an offset.
_LARGEST = 2**63 - 1

_NUMBER = WithJsonSchema({"type": "integer", "minimum": 0})
Limit = Annotated[str | None, _NUMBER, Query(description="Rows in the answer, 50 by default, 500 at most.")]
Offset = Annotated[str | None, _NUMBER, Query(description="Rows to skip.")]


def page_of(limit: str | None, offset: str | None) -> Page:
    """Return the window; a limit above 500 means 500, anything that is no number is Invalid."""
    rows = _number("limit", limit, DEFAULT_LIMIT)
    return Page(limit=min(rows, MAX_LIMIT) or DEFAULT_LIMIT, offset=_number("offset", offset, 0))


def _number(field: str, text: str | None, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > _LARGEST:
        raise Invalid(f"{field} must be a whole number of 0 or more, not {text[:40]!r}", field=field)
    return int(text)
