"""Streams that begin with a word of the guest: one JSON object on sub-channel 2 before anything else (PROTOCOL.md)."""

from __future__ import annotations

import asyncio

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.answers import parse_object
from createos_engine.drivers.channel.stream import Stream
from createos_engine.errors import GuestFailed

OUTPUT, _HEAD = 1, 2


async def open_with_head(
    agent: AgentClient, kind: str, *, deadline_s: float, **request: object
) -> tuple[Stream, dict[str, object]]:
    """Open a stream and return it with the object that it begins with; the caller reads on or cancels.

    Raises AgentError when the guest refuses, GuestFailed when it says nothing in time or something else.
    """
    try:
        async with asyncio.timeout(deadline_s):
            stream = await agent.open(kind, **request)
            try:
                return stream, await read_head(stream, kind)
            except BaseException:
                stream.cancel()
                raise
    except TimeoutError as exc:
        raise GuestFailed(f"the guest agent did not answer {kind} within {deadline_s:g} s") from exc


async def read_head(stream: Stream, kind: str) -> dict[str, object]:
    """Wait for the object that a stream begins with. Raises AgentError, GuestFailed, ChannelLost."""
    piece = await anext(stream, None)
    if piece is None:
        await stream.result()
    if piece is None or piece.sub != _HEAD or not piece.data:
        raise GuestFailed(f"the guest agent did not begin {kind} as it must")
    return parse_object(piece.data, f"the beginning of {kind}")
