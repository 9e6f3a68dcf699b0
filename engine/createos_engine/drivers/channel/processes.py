"""Managed processes through the agent: the kind `process` of images/agent/PROTOCOL.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from createos_engine.drivers.channel.agent import AgentClient, Program
from createos_engine.drivers.channel.answers import integer
from createos_engine.drivers.channel.descriptions import MAX_PROCESSES, described, records
from createos_engine.drivers.channel.stream import Stream
from createos_engine.errors import GuestFailed
from createos_engine.process import OutputExpired, Process, ProcessEvent, Scope

# A description repeats at most 64 KiB of arguments, each byte of which JSON may escape into six.
_DESCRIPTION_BYTES = 512 * 1024
_LIST_BYTES = 32 * 1024 * 1024
# The agent waits 10 s for room in an input and 5 s for what was killed to be gone; emulation adds to both.
_ANSWER_S = 20.0


class ProcessClient:
    """The managed processes of one guest. Raises AgentError for refusals, GuestFailed for a guest that misbehaves."""

    def __init__(self, agent: AgentClient) -> None:
        self._agent = agent

    async def start(self, program: Program, *, strict_cwd: bool) -> Process:
        """Start a program; *strict_cwd* refuses a working directory that does not exist."""
        text, _ = await self._ask({"op": "start", "strict_cwd": strict_cwd, **program.request()})
        return described(text)

    async def list(self) -> list[Process]:
        """Return all that the guest still knows, oldest first."""
        text, _ = await self._ask({"op": "list"}, limit_bytes=_LIST_BYTES)
        lines = text.splitlines()
        if len(lines) > MAX_PROCESSES:
            raise GuestFailed(f"the guest agent lists {len(lines)} processes; it keeps at most {MAX_PROCESSES}")
        return [described(line) for line in lines]

    async def get(self, process_id: str) -> Process:
        """Return one process."""
        text, _ = await self._ask({"op": "get", "id": process_id})
        return described(text)

    async def attach(self, process_id: str, after: int) -> AsyncGenerator[ProcessEvent]:
        """Return the events behind number *after* (0: all that are kept) as they come.

        The reader ends behind an exit or OutputExpired, or when the tree is gone. Closing it leaves the process alone.
        """
        stream = await self._agent.open("process", op="attach", id=process_id, after=after)
        try:
            async for event in records(stream, after):
                yield event
            result = await stream.result()
            if result.get("end") == "expired":
                yield OutputExpired(integer(result, "oldest_seq"))
        finally:
            stream.cancel()

    async def input(self, process_id: str, data: bytes) -> int:
        """Write input in one piece; return how many calls there were so far."""
        async with asyncio.timeout(_ANSWER_S):
            stream = await self._agent.open("process", op="input", id=process_id)
            try:
                await stream.send(data)
                stream.send_eof()
                return integer(await stream.result(), "input_seq")
            finally:
                stream.cancel()

    async def close_stdin(self, process_id: str) -> None:
        """End the input behind what was written."""
        await self._ask({"op": "close_stdin", "id": process_id})

    async def resize(self, process_id: str, rows: int, cols: int) -> None:
        """Tell the terminal its size."""
        await self._ask({"op": "resize", "id": process_id, "size": {"rows": rows, "cols": cols}})

    async def signal(self, process_id: str, name: str) -> None:
        """Signal the foreground of the terminal, or the process group."""
        await self._ask({"op": "signal", "id": process_id, "signal": name})

    async def wait(self, process_id: str, scope: Scope, timeout_s: float) -> tuple[Process, bool]:
        """Wait for an end; return the process and whether it came in time."""
        wanted = {"op": "wait", "id": process_id, "scope": scope.value, "timeout_ms": round(timeout_s * 1000)}
        return await self._finish(wanted, timeout_s)

    async def delete(self, process_id: str, grace_s: float) -> tuple[Process, bool]:
        """End the tree; return the process and whether all of it is gone."""
        return await self._finish({"op": "delete", "id": process_id, "grace_ms": round(grace_s * 1000)}, grace_s)

    async def _finish(self, wanted: Mapping[str, object], extra_s: float) -> tuple[Process, bool]:
        text, result = await self._ask(wanted, deadline_s=_ANSWER_S + extra_s)
        return described(text), result.get("done") is True

    async def _ask(
        self, wanted: Mapping[str, object], *, deadline_s: float = _ANSWER_S, limit_bytes: int = _DESCRIPTION_BYTES
    ) -> tuple[bytes, dict[str, object]]:
        """Return the data and the result of one operation."""
        try:
            async with asyncio.timeout(deadline_s):
                stream = await self._agent.open("process", **wanted)
                try:
                    return await _read(stream, limit_bytes), await stream.result()
                finally:
                    stream.cancel()
        except TimeoutError as exc:
            raise GuestFailed(f"the guest agent did not answer {wanted['op']} within {deadline_s:g} s") from exc


async def _read(stream: Stream, limit_bytes: int) -> bytes:
    text = bytearray()
    async for piece in stream:
        text += piece.data
        if len(text) > limit_bytes:
            raise GuestFailed(f"the guest agent says more than {limit_bytes} bytes about processes")
    return bytes(text)
