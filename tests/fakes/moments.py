"""Every moment at which a crash makes a difference, and a host that outlives the daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from createos_engine.services.steps import Step, Steps


@dataclass
class FakeGuest:
    """A machine: whose it is on the host, who it takes itself for, what it has in memory, whether it stands still."""

    sandbox_id: str
    believes: str
    memory: bytes
    disk: Path
    stopped: bool = False


@dataclass
class HostState:
    """What the host has of ours: machines by name, links by slot, true while something may pass them."""

    machines: dict[str, FakeGuest] = field(default_factory=dict)
    links: dict[int, bool] = field(default_factory=dict)


class Moments(Steps):
    """Calls `come_by` with the name of every moment: the steps of the code, and what the fakes of the host do."""

    def __init__(self, come_by: Callable[[str], None]) -> None:
        self._come_by = come_by

    def reach(self, step: Step) -> None:
        """Come by a step of the code."""
        self._come_by(step.value)

    def host(self, what: str) -> None:
        """Come by a change of the host."""
        self._come_by(f"host: {what}")
