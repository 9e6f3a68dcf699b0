"""The words of checkpoints as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from createos_engine.words import Sandbox


@dataclass(frozen=True)
class Checkpoint:
    """A named snapshot of a sandbox that outlives it. `source` is the sandbox's row as it was then.

    `parent` is the id of the checkpoint before it: the last one of the same sandbox, else the one that sandbox was
    forked from; empty for the first. `complete` turns true when memory and disk are there.
    """

    id: str
    user_id: str
    name: str
    source: Sandbox
    created_at: datetime
    parent: str = ""
    complete: bool = False
