"""What the routes of processes and shells ask of the services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from createos_engine.duplex import Duplex
from createos_engine.process import NewProcess, Process, ProcessEvent, Scope
from createos_engine.words import User


class ProcessPort(Protocol):
    """Managed processes of running sandboxes. An unknown id raises NotFound, the wrong kind or state Conflict."""

    async def create(self, user: User, ref: str, wanted: NewProcess) -> Process:
        """Return a process that runs."""

    async def list(self, user: User, ref: str) -> Sequence[Process]:
        """Return those that are still known, oldest first."""

    async def get(self, user: User, ref: str, process_id: str) -> Process:
        """Return one."""

    async def connect(self, user: User, ref: str, process_id: str, after: int) -> AsyncIterator[ProcessEvent]:
        """Check, then return the events behind number *after*. Closing the iterator leaves the process alone."""

    async def input(self, user: User, ref: str, process_id: str, data: bytes) -> int:
        """Write input in one piece; return how many calls there were so far."""

    async def close_stdin(self, user: User, ref: str, process_id: str) -> None:
        """End the input of a process on pipes."""

    async def resize(self, user: User, ref: str, process_id: str, rows: int, cols: int) -> None:
        """Tell a terminal its size."""

    async def signal(self, user: User, ref: str, process_id: str, name: str) -> None:
        """Signal the foreground of a terminal, or a process group."""

    async def wait(self, user: User, ref: str, process_id: str, scope: Scope, timeout_s: float) -> Process:
        """Return the process when the end has come, or raise TimedOut."""

    async def delete(self, user: User, ref: str, process_id: str, grace_s: float) -> Process:
        """End the tree. Repeatable."""


class ShellSession(Protocol):
    """A shell that runs and waits for its client."""

    async def serve(self, duplex: Duplex) -> None:
        """Carry bytes both ways until either side ends: frames of wire-api 9.2 in, raw output out."""


class ShellPort(Protocol):
    """Interactive shells."""

    async def open(self, user: User, ref: str) -> ShellSession:
        """Start the default user's shell; Conflict when the image has none."""
