"""The words of golden snapshots as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class GoldenState(StrEnum):
    """Whether creates can start from it."""

    BUILDING = "building"
    READY = "ready"


@dataclass(frozen=True)
class Golden:
    """The snapshot of a guest that nobody has used. `key` is a digest of everything that it is of no use without.

    Its disk has `disk_mib`: a create may want more, never less. `size_bytes` is what memory and disk take on the host.
    """

    id: str
    key: str
    state: GoldenState
    rootfs: str
    shape: str
    vcpu: int
    mem_mib: int
    disk_mib: int
    base_digest: str
    created_at: datetime
    size_bytes: int = 0
    pinned: bool = False
    last_used_at: datetime | None = None
    uses: int = 0
