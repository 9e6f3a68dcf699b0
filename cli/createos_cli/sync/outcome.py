"""What a pass did, for whoever tells the user."""

from __future__ import annotations

from dataclasses import dataclass, field

from createos_cli.sync.entries import Side


@dataclass
class Outcome:
    """Counts of one pass; *problems* by side and path, *again* when something changed while it was at work."""

    sent: int = 0
    received: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    removed: int = 0
    renamed: int = 0
    other: int = 0
    conflicts: dict[str, str] = field(default_factory=dict)
    problems: dict[tuple[Side, str], str] = field(default_factory=dict)
    remarks: dict[tuple[Side, str], str] = field(default_factory=dict)
    again: bool = False

    @property
    def did_something(self) -> bool:
        """Whether anything was changed on either side."""
        return bool(self.sent or self.received or self.removed or self.renamed or self.other or self.conflicts)

    def add(self, pass_: Outcome) -> None:
        """Add a later pass: its counts, and its problems instead of the earlier ones."""
        for name in ("sent", "received", "sent_bytes", "received_bytes", "removed", "renamed", "other"):
            setattr(self, name, getattr(self, name) + getattr(pass_, name))
        self.conflicts |= pass_.conflicts
        self.problems, self.remarks, self.again = pass_.problems, pass_.remarks, pass_.again
