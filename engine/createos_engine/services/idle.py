"""Auto-pause: a sandbox that nobody uses for as long as it says is paused (wire-api 5.5)."""

from __future__ import annotations

from time import monotonic

import structlog

from createos_engine.errors import EngineError
from createos_engine.services.guests import Guests
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.pauses import Pauses
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Sandbox, State

log = structlog.get_logger(__name__)


class Idle:
    """Looks now and again. What runs counts as used when it is first seen: after a create, a resume, a new daemon."""

    def __init__(self, store: SandboxStore, guests: Guests, pauses: Pauses, locks: SandboxLocks) -> None:
        self._store = store
        self._guests = guests
        self._pauses = pauses
        self._locks = locks
        self._seen: dict[str, float] = {}

    async def pause_idle(self) -> None:
        """Pause what has been idle for long enough; one that cannot be paused is tried again."""
        now, busy = monotonic(), self._locks.busy()
        rows = [row for row in self._store.in_states({State.RUNNING}) if row.auto_pause_after_seconds]
        self._seen = {row.id: self._seen.get(row.id, now) for row in rows}
        for row in rows:
            if row.id not in busy and self._idle_s(row, now) >= (row.auto_pause_after_seconds or 0):
                await self._pause(row)

    def _idle_s(self, row: Sandbox, now: float) -> float:
        return min(self._guests.idle_s(row.id), now - self._seen[row.id])

    async def _pause(self, row: Sandbox) -> None:
        try:
            await self._pauses.begin(row, auto=True)
        except EngineError as exc:
            log.warning("idle sandbox not paused", sandbox=row.id, reason=exc.sentence)
        else:
            log.info("idle sandbox is being paused", sandbox=row.id, after_s=row.auto_pause_after_seconds)
