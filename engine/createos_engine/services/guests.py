"""The way into a running sandbox: whose it is, whether it runs, and that somebody is using it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.lifecycle import require_running
from createos_engine.services.agents import Agents
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Sandbox, User


@dataclass(frozen=True)
class Guest:
    """A running sandbox and its connected agent."""

    sandbox: Sandbox
    agent: AgentClient


@dataclass
class _Use:
    users: int = 0
    last_s: float = 0.0


class Guests:
    """Finds running sandboxes for everything that works inside them, and knows when each was last used.

    Programs, files, processes, shells, tunnels and ingress are use; looking at the sandbox is not (wire-api 5.5).
    """

    def __init__(self, store: SandboxStore, agents: Agents) -> None:
        self._store = store
        self._agents = agents
        self._uses: dict[str, _Use] = {}

    def running(self, user: User, ref: str) -> Guest:
        """Return the user's running sandbox by id or name; NotFound, Conflict or GuestFailed when there is none."""
        return self.of(self._store.find(user.id, ref).id)

    def of(self, sandbox_id: str) -> Guest:
        """Return a running sandbox by its id alone, for those whom the sandbox itself lets in."""
        sandbox = self._store.get(sandbox_id)
        require_running(sandbox.state)
        return Guest(sandbox, self._agents.get(sandbox.id))

    @contextmanager
    def use(self, sandbox_id: str) -> Iterator[None]:
        """Count as a user of the sandbox until the end of the block."""
        use = self._uses.setdefault(sandbox_id, _Use())
        use.users += 1
        try:
            yield
        finally:
            use.users -= 1
            use.last_s = monotonic()

    def idle_s(self, sandbox_id: str) -> float:
        """Return the seconds since the last use ended: 0 while somebody uses it, infinite when nobody ever did."""
        use = self._uses.get(sandbox_id)
        if use is None:
            return float("inf")
        return 0.0 if use.users else monotonic() - use.last_s

    def forget(self, sandbox_id: str) -> None:
        """Drop what is known of a sandbox that is gone."""
        self._uses.pop(sandbox_id, None)
