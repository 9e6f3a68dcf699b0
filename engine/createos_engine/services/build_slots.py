"""Places in the network that are lent to builds, one each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from createos_engine.services.network import Network


class BuildSlots:
    """The slots that no sandbox gets."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._free = list(network.build_slots)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[int]:
        """Hold a slot; whatever an earlier build of a killed daemon left there is removed first."""
        slot = self._free.pop()
        try:
            await self._network.disconnect(slot)
            try:
                yield slot
            finally:
                await self._network.disconnect(slot)
        finally:
            self._free.append(slot)
