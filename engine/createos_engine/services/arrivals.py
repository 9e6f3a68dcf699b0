"""Agents of machines that were just started: they answer, or the machine ends first, and then it is said why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.hypervisor import Hypervisor, Stopped
from createos_engine.errors import GuestFailed, HostFailed
from createos_engine.paths import Paths
from createos_engine.services.agents import Agents
from createos_engine.services.console import last_lines
from createos_engine.words import Accelerator


class Arrivals:
    """Waits for agents."""

    def __init__(self, hypervisor: Hypervisor, agents: Agents, paths: Paths, name: Callable[[str], str]) -> None:
        """*name* returns the machine of a sandbox id."""
        self._hypervisor = hypervisor
        self._agents = agents
        self._paths = paths
        self._name = name
        self._ends: dict[str, asyncio.Future[str]] = {}
        hypervisor.on_stopped(self._ended)

    async def agent(self, sandbox_id: str, *, deadline_s: float) -> AgentClient:
        """Wait for the agent, but not for that of a machine that has ended meanwhile."""
        end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ends[sandbox_id] = end
        connecting = asyncio.ensure_future(self._agents.connect(sandbox_id, deadline_s=deadline_s))
        try:
            waiting: list[asyncio.Future[Any]] = [connecting, end]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise GuestFailed(f"the machine ended by itself while it booted ({end.result()})")
            return connecting.result()
        finally:
            del self._ends[sandbox_id]
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)

    async def explained(self, exc: HostFailed, sandbox_id: str, accelerator: Accelerator) -> GuestFailed:
        """Return the failure with all that is known: accelerator, whether QEMU still runs, the console's last words."""
        running = self._name(sandbox_id) in await self._hypervisor.running()
        lines = last_lines(self._paths.sandbox(sandbox_id).console)
        said = f"; the console ends with: {' | '.join(lines)}" if lines else "; the console is empty"
        qemu = "QEMU is running" if running else "QEMU is not running"
        return GuestFailed(
            f"the machine did not come up under {accelerator}: {exc.reason}; {qemu}{said}", hint=exc.hint
        )

    def _ended(self, stopped: Stopped) -> None:
        end = self._ends.get(stopped.sandbox_id)
        if end and not end.done():
            end.set_result(stopped.reason)
