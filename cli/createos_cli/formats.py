"""Values as people read them: sizes, times, names; and text that cannot steer a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

TABLE_TIME = "%Y-%m-%d %H:%M"
DETAIL_TIME = "%Y-%m-%d %H:%M:%S"
STEP = 1024
LABELS = ("kB", "MB", "GB")


def size(count_bytes: float) -> str:
    """Write a size in steps of 1024 with the labels of cli-behaviour 1.4."""
    if count_bytes < STEP:
        return f"{int(count_bytes)} B"
    steps = min(int(math.log(count_bytes, STEP)), len(LABELS))
    return f"{count_bytes / STEP**steps:.1f} {LABELS[steps - 1]}"


def local_time(stamp: object, style: str = DETAIL_TIME) -> str:
    """Write an RFC 3339 time in local time; empty for none, unchanged when it cannot be read."""
    if not isinstance(stamp, str) or not stamp:
        return ""
    try:
        return datetime.fromisoformat(stamp).astimezone().strftime(style)
    except (ValueError, OverflowError):
        return stamp


def instant(stamp: object) -> float:
    """Return seconds since 1970 for sorting; 0 when there is no readable time."""
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def label(sandbox: Mapping[str, Any]) -> str:
    """Name a sandbox in a sentence: `name (id)`, or the bare id."""
    name, sandbox_id = sandbox.get("name"), sandbox.get("id", "")
    return f"{name} ({sandbox_id})" if name else str(sandbox_id)


def printable(text: str) -> str:
    """Replace control characters except newline and tab: server texts may quote what a guest printed."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)
