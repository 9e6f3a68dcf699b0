"""Puts our rules in place, and back as soon as somebody else on this host has removed them."""

from __future__ import annotations

import asyncio

import structlog
from createos_netconfig.names import Instance
from createos_netconfig.watch import TableWatch

from createos_engine.errors import EngineError
from createos_engine.services.members import Members
from createos_engine.services.network import Network

log = structlog.get_logger(__name__)

_RETRY_S = 1.0


class Guard:
    """While rules are gone the kernel keeps links closed; how soon sandboxes go on is what this is about."""

    def __init__(self, instance: Instance, network: Network, members: Members) -> None:
        self._instance = instance
        self._network = network
        self._members = members
        self._installed = asyncio.Event()

    async def install(self) -> None:
        """Put all rules in place; from now on `watch` keeps them there."""
        await self._network.install()
        await self._members.install()
        self._installed.set()

    async def watch(self) -> None:
        """Verify the rules once they are there, and whenever a table of ours was deleted, until cancelled."""
        await self._installed.wait()
        gone = asyncio.Event()
        gone.set()
        with TableWatch(self._instance, gone.set):
            while True:
                await gone.wait()
                gone.clear()
                try:
                    await self._verify()
                except EngineError as exc:
                    log.error("the rules of sandboxes are gone and cannot be put back", reason=exc.sentence)
                    await asyncio.sleep(_RETRY_S)
                    gone.set()

    async def _verify(self) -> None:
        if self._installed.is_set():
            await self._network.verify()
            await self._members.verify()

    async def remove(self) -> None:
        """Remove all rules and links for good."""
        self._installed.clear()
        await self._members.remove()
        await self._network.remove()
