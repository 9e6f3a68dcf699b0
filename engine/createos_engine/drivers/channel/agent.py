"""What the engine asks of a guest agent. One client per sandbox."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from createos_engine.drivers.channel.answers import integer, number
from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.handshake import Ready
from createos_engine.drivers.channel.identity import Identity, InterfaceConfig
from createos_engine.drivers.channel.mux import Channel
from createos_engine.drivers.channel.program import Finished, Outcome, Program, ProgramNotStarted, RunningProgram
from createos_engine.drivers.channel.stream import Stream
from createos_engine.errors import GuestFailed

__all__ = [
    "AgentClient",
    "Finished",
    "Identity",
    "InterfaceConfig",
    "Outcome",
    "Program",
    "ProgramNotStarted",
    "Ready",
    "RunningProgram",
    "Stats",
]


@dataclass(frozen=True)
class Stats:
    """How the guest is doing, by its own word."""

    uptime_s: float
    mem_total_kib: int
    mem_available_kib: int
    disk_total_bytes: int
    disk_free_bytes: int
    load_1m: float
    processes: int


class AgentClient:
    """The agent of one sandbox. Every failure is a GuestFailed that names the step."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @classmethod
    async def connect(
        cls, path: Path, *, deadline_s: float, on_lost: Callable[[str], None] | None = None
    ) -> AgentClient:
        """Connect to the socket that QEMU listens on (or soon will) and wait for the agent.

        `on_lost(reason)` is called once if the connection ends without `close()`.
        """
        return cls(await Channel.connect(path, deadline_s=deadline_s, on_lost=on_lost))

    @property
    def ready(self) -> Ready:
        """What the agent said of itself when it answered."""
        return self._channel.ready

    @property
    def connected(self) -> bool:
        """Whether the agent can be asked."""
        return self._channel.connected

    async def close(self) -> None:
        """Let go of the agent; programs that run for this connection are killed by the next one."""
        await self._channel.close()

    def exec(self, program: Program, stdin: bytes | AsyncIterator[bytes] | None = None) -> RunningProgram:
        """Return a program to be entered (`async with`), which starts it; no input means end-of-file."""
        return RunningProgram(self._channel, program, stdin)

    async def run(
        self, program: Program, stdin: bytes | AsyncIterator[bytes] | None = None, *, limit_bytes: int
    ) -> Finished:
        """Run to the end and keep the first *limit_bytes* of each of stdout and stderr.

        The rest is read and dropped, so that the program ends. Raises ProgramNotStarted, GuestFailed.
        """
        kept = {1: bytearray(), 2: bytearray()}
        cut = {1: False, 2: False}
        async with self.exec(program, stdin) as running:
            async for output in running:
                room = limit_bytes - len(kept[output.stream])
                kept[output.stream] += output.data[:room]
                cut[output.stream] |= len(output.data) > room
        return Finished(bytes(kept[1]), bytes(kept[2]), running.outcome, cut[1], cut[2])

    async def open(self, kind: str, **request: object) -> Stream:
        """Open a stream of any kind of PROTOCOL.md; the caller reads it to its end or cancels it."""
        return await self._channel.open({"kind": kind, **request})

    async def configure(self, identity: Identity, *, deadline_s: float = 15) -> dict[str, object]:
        """Give the guest its identity; return what it reads back from its system."""
        return await self.ask("configure", identity.request(), deadline_s)

    async def wake(self, clock_unix_ns: int, entropy: bytes, *, deadline_s: float = 15) -> int:
        """Set the clock of a guest that has slept, give it fresh randomness, and return what its clock says then."""
        body: dict[str, object] = {"clock_unix_ns": clock_unix_ns, "entropy_base64": b64encode(entropy).decode()}
        return integer(await self.ask("wake", body, deadline_s), "clock_unix_ns")

    async def stats(self, *, deadline_s: float = 5) -> Stats:
        """Return the guest's own figures."""
        said = await self.ask("stats", {}, deadline_s)
        return Stats(
            uptime_s=number(said, "uptime_s"),
            mem_total_kib=integer(said, "mem_total_kib"),
            mem_available_kib=integer(said, "mem_available_kib"),
            disk_total_bytes=integer(said, "disk_total_bytes"),
            disk_free_bytes=integer(said, "disk_free_bytes"),
            load_1m=number(said, "load_1m"),
            processes=integer(said, "processes"),
        )

    async def ping(self, *, deadline_s: float = 5) -> None:
        """Return when the agent has answered."""
        await self.ask("ping", {}, deadline_s)

    async def shutdown(self, action: Literal["poweroff", "reboot"], *, deadline_s: float = 5) -> None:
        """Ask for an orderly end; return when the agent has agreed. The machine needs some seconds more."""
        await self.ask("shutdown", {"action": action}, deadline_s)

    async def ask(self, kind: str, body: dict[str, object], deadline_s: float) -> dict[str, object]:
        """Open a stream that has a result and no data, and return the result; GuestFailed names the kind."""
        try:
            async with asyncio.timeout(deadline_s):
                stream = await self.open(kind, **body)
                try:
                    return await stream.result()
                finally:
                    stream.cancel()
        except TimeoutError as exc:
            raise GuestFailed(f"the guest agent did not answer {kind} within {deadline_s:g} s") from exc
        except AgentError as exc:
            raise GuestFailed(f"the guest agent could not {kind}: {exc.message}", code=exc.code) from exc
