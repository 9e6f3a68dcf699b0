"""Network cards that a guest gets while it runs (`links` of PROTOCOL.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.identity import InterfaceConfig
from createos_engine.errors import GuestFailed


async def bring_up(agent: AgentClient, interfaces: Sequence[InterfaceConfig], *, deadline_s: float) -> None:
    """Have the guest configure cards that were plugged in; repeatable. GuestFailed when it does not."""
    try:
        async with asyncio.timeout(deadline_s):
            stream = await agent.open("links", interfaces=[interface.request() for interface in interfaces])
            try:
                await stream.result()
            finally:
                stream.cancel()
    except TimeoutError as exc:
        raise GuestFailed(f"the guest did not bring up its network card within {deadline_s:g} s") from exc
    except AgentError as exc:
        raise GuestFailed(f"the guest could not bring up its network card: {exc.message}", code=exc.code) from exc
