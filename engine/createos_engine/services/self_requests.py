"""Sandboxes that ask for their own pause or end (wire-api 17)."""

from __future__ import annotations

import asyncio
from time import monotonic

import structlog

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.errors import AgentError, ChannelLost
from createos_engine.drivers.channel.events import CAPABILITY, Asked, Events, Go
from createos_engine.errors import EngineError
from createos_engine.lifecycle import move
from createos_engine.services.background import Background
from createos_engine.services.pauses import Pauses
from createos_engine.services.sandboxes import Sandboxes
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import State

log = structlog.get_logger(__name__)

# What a guest says is looked at at most so often; a flood waits in the guest, held back by the stream's credit.
PACE_S = 0.05
# From the answer to the deed: whoever asked should have read the one before the other.
MOMENT_S = 0.5
# A request whose caller was not answered within this time is forgotten.
GO_DEADLINE_S = 10.0

_NEXT_STATE = {"pause": State.PAUSING, "delete": State.DESTROYING}


class SelfRequests:
    """Listens to every agent that is connected, and acts for its sandbox alone."""

    def __init__(self, store: SandboxStore, sandboxes: Sandboxes, pauses: Pauses, background: Background) -> None:
        self._store = store
        self._sandboxes = sandboxes
        self._pauses = pauses
        self._background = background

    def connected(self, sandbox_id: str, agent: AgentClient) -> None:
        """An agent answers: listen to it until its channel is over. An older agent is left alone."""
        if CAPABILITY in agent.ready.capabilities:
            self._background.start(f"events {sandbox_id}", self._listen(sandbox_id, agent))

    async def _listen(self, sandbox_id: str, agent: AgentClient) -> None:
        try:
            events = await Events.open(agent)
            try:
                await self._take(sandbox_id, events)
            finally:
                events.close()
        except (ChannelLost, AgentError) as exc:
            log.debug("not listening any more", sandbox=sandbox_id, reason=exc.reason)
        except EngineError as exc:
            log.warning("a guest's requests are ignored", sandbox=sandbox_id, reason=exc.reason)

    async def _take(self, sandbox_id: str, events: Events) -> None:
        """Judge what is asked and act once the caller is answered: one request at a time."""
        accepted: Asked | None = None
        until_s = 0.0
        async for event in events:
            if accepted and monotonic() > until_s:
                accepted = None
            if isinstance(event, Asked):
                refusal = "another request is being carried out" if accepted else self._refusal(sandbox_id, event)
                events.judge(event, refusal)
                if not refusal:
                    accepted, until_s = event, monotonic() + GO_DEADLINE_S
            elif accepted and event == Go(accepted.id):
                asked, accepted = accepted, None
                self._background.start(f"self-{asked.action} {sandbox_id}", self._act(sandbox_id, asked))
            await asyncio.sleep(PACE_S)

    def _refusal(self, sandbox_id: str, asked: Asked) -> str:
        """Return in a sentence why a request cannot be met, empty when it can."""
        try:
            move(self._store.get(sandbox_id).state, _NEXT_STATE[asked.action])
        except EngineError as exc:
            return exc.reason
        return ""

    async def _act(self, sandbox_id: str, asked: Asked) -> None:
        await asyncio.sleep(MOMENT_S)
        log.info("the sandbox asked for it", sandbox=sandbox_id, action=asked.action, reason=asked.reason)
        sandbox = self._store.get(sandbox_id)
        if asked.action == "delete":
            said = f": {asked.reason}" if asked.reason else ""
            await self._sandboxes.destroy(sandbox, reason=f"it asked for its own end{said}")
        else:
            await self._pauses.begin(sandbox)
