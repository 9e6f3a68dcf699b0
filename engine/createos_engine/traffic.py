"""Words of what leaves and enters sandboxes, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

UNMETERED = -1
"""The quota of a sandbox that may send as much as it likes (wire-api 12)."""


@dataclass(frozen=True)
class Bandwidth:
    """What a sandbox has sent out (counted against the quota) and got (observed only)."""

    sandbox_id: str
    quota_bytes: int
    used_bytes: int
    ingress_bytes: int

    @property
    def remaining_bytes(self) -> int:
        """What is left of the quota, which may be less than nothing; -1 without one."""
        return UNMETERED if self.quota_bytes == UNMETERED else self.quota_bytes - self.used_bytes

    @property
    def capped(self) -> bool:
        """Tell whether nothing more goes out."""
        return self.quota_bytes != UNMETERED and self.remaining_bytes <= 0


@dataclass(frozen=True)
class Denial:
    """Something a sandbox was refused: where it wanted to go, why that may not be, how often. Times are UTC."""

    target: str
    protocol: str
    port: int
    code: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class Explained:
    """What would become of a connection. `rules` are the egress rules that decide."""

    allowed: bool
    reason: str
    rules: tuple[str, ...] = ()
