"""The guest's part of a disk that grows."""

from __future__ import annotations

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.answers import integer

# Under emulation a file system of many GiB takes a while; the agent itself waits up to 10 s for the kernel.
GROW_DEADLINE_S = 120.0


async def grow_file_system(agent: AgentClient, disk_bytes: int, *, deadline_s: float = GROW_DEADLINE_S) -> int:
    """Make the root file system as large as its disk, which has *disk_bytes*; return its size, raise GuestFailed."""
    return integer(await agent.ask("grow", {"bytes": disk_bytes}, deadline_s), "bytes")
