"""A guest that is about to be saved as what others begin with."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from createos_engine.drivers.channel.agent import AgentClient, Identity, Program
from createos_engine.drivers.channel.program import ProgramNotStarted

_ENTROPY_BYTES = 64
_NOBODY = "golden"


async def rehearse(agent: AgentClient, *, deadline_s: float) -> None:
    """Have a guest do once what every copy of it does first, then wait until it has nothing left to do.

    It gets a name that is nobody's and runs a program, so that copies find in memory what that takes. Its link stays
    down and it has no address. GuestFailed when it does not come to rest within *deadline_s*.
    """
    nobody = Identity(hostname=_NOBODY, clock_unix_ns=time.time_ns(), entropy=os.urandom(_ENTROPY_BYTES))
    await agent.configure(nobody, deadline_s=deadline_s)
    await run_once(agent)
    await agent.ask("settle", {}, deadline_s)


async def run_once(agent: AgentClient) -> None:
    """Have a guest run a program that does nothing: the next one is faster."""
    with suppress(ProgramNotStarted):  # an image need not have it
        await agent.run(Program(argv=("/bin/true",), env={}, cwd="/", user=""), limit_bytes=0)
