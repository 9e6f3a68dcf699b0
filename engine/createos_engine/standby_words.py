"""The words of machines that stand by, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Standby:
    """A machine that waits for a create under the id and the slot of the sandbox that it will be.

    It was forked from a golden snapshot, whose `key` says what it fits and whose disk has `disk_mib`. One that is not
    `ready` is being made.
    """

    id: str
    golden_id: str
    key: str
    disk_mib: int
    created_at: datetime
    slot: int = 0
    ready: bool = False
