"""Pause, resume and fork in memory: everything has happened by the time of the next look."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from createos_engine.errors import Conflict
from createos_engine.lifecycle import move
from createos_engine.words import NewFork, Sandbox, State, User

from tests.fakes.rows import NOON


class Rows(Protocol):
    """What the fake sandboxes offer of their rows."""

    rows: dict[str, Sandbox]

    def add(self, row: Sandbox) -> Sandbox:
        """Put a row there."""

    async def get(self, user: User, ref: str) -> Sandbox:
        """Return a row."""


class FakeSnapshots:
    """The three ports over the rows of the fake sandboxes. Answers are the intermediate states."""

    def __init__(self, sandboxes: Rows) -> None:
        self._sandboxes = sandboxes
        self.wanted: list[NewFork] = []
        self.cold: list[bool] = []

    async def pause(self, user: User, ref: str) -> Sandbox:
        """Pause at once."""
        row = await self._sandboxes.get(user, ref)
        if row.state is State.PAUSED:
            return row
        pausing = replace(row, state=_from(row, State.PAUSING))
        self._sandboxes.add(replace(pausing, state=State.PAUSED, paused_at=NOON))
        return pausing

    async def resume(self, user: User, ref: str, *, cold: bool = False) -> Sandbox:
        """Resume at once."""
        row = await self._sandboxes.get(user, ref)
        if row.state is State.RUNNING:
            return row
        self.cold.append(cold)
        resuming = replace(row, state=_from(row, State.RESUMING))
        self._sandboxes.add(replace(resuming, state=State.RUNNING, last_resumed_at=NOON))
        return resuming

    async def wake(self, user: User, ref: str) -> None:
        """Resume at once what idleness has paused."""
        row = await self._sandboxes.get(user, ref)
        if row.auto_paused:
            self._sandboxes.add(replace(row, state=State.RUNNING, auto_paused=False))

    async def fork(self, user: User, ref: str, wanted: NewFork) -> Sandbox:
        """Fork at once."""
        source = await self._sandboxes.get(user, ref)
        if source.state is not State.PAUSED:
            raise Conflict(f"sandbox is {source.state}")
        self.wanted.append(wanted)
        number = len(self._sandboxes.rows) + 1
        child = replace(
            source,
            id=f"sb-{number:026d}",
            name=f"calm-otter-{number}",
            state=State.FORKING,
            forked_from=source.id,
            ip=f"10.77.0.{number}",
            envs=source.envs if wanted.envs is None else wanted.envs,
            receipt={"hostname": f"calm-otter-{number}"},
        )
        ended = State.PAUSED if wanted.start_paused else State.RUNNING
        self._sandboxes.add(replace(child, state=ended))
        return child


def _from(row: Sandbox, wanted: State) -> State:
    """Take the step, in the words of the lifecycle."""
    return move(row.state, wanted)
