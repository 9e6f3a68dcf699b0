"""What a sandbox asks of its host. The guest cannot open streams: one is kept open for it (PROTOCOL.md, events)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.answers import integer, parse_object, printable
from createos_engine.drivers.channel.errors import ProtocolViolation
from createos_engine.drivers.channel.stream import Stream

CAPABILITY = "events"
_ACTIONS = ("pause", "delete")
_REASON_CHARACTERS = 128
_MESSAGE_CHARACTERS = 500
# A reason of 128 characters, each escaped as two halves of a surrogate pair, and the rest of the object.
_LINE_BYTES = 2048


@dataclass(frozen=True)
class Asked:
    """A program in the guest wants this sandbox paused or deleted; nothing happens before the Go of the same id."""

    id: int
    action: str
    reason: str


@dataclass(frozen=True)
class Go:
    """The program that asked has its answer."""

    id: int


class Events:
    """One `events` stream. Iterate over what the guest says; a guest that says nonsense gets ProtocolViolation."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @classmethod
    async def open(cls, agent: AgentClient) -> Events:
        """Listen to an agent."""
        return cls(await agent.open("events"))

    def close(self) -> None:
        """Stop listening."""
        self._stream.cancel()

    def judge(self, asked: Asked, refusal: str = "") -> None:
        """Accept a request, or say in a sentence why not."""
        message = refusal[:_MESSAGE_CHARACTERS]
        self._stream.send_control({"verdict": {"id": asked.id, "accepted": not refusal, "message": message}})

    async def __aiter__(self) -> AsyncIterator[Asked | Go]:
        rest = b""
        async for piece in self._stream:
            *lines, rest = (rest + piece.data).split(b"\n")
            if len(rest) > _LINE_BYTES:
                raise ProtocolViolation(f"an event is longer than {_LINE_BYTES} bytes")
            for line in lines:
                yield _event(line)


def _event(line: bytes) -> Asked | Go:
    if len(line) > _LINE_BYTES:
        raise ProtocolViolation(f"an event is longer than {_LINE_BYTES} bytes")
    said = parse_object(line, "an event")
    number = integer(said, "id")
    if said.get("go") is True:
        return Go(number)
    action = said.get("action")
    if action not in _ACTIONS:
        raise ProtocolViolation("an event asks for neither pause nor delete")
    return Asked(number, str(action), printable(said.get("reason"), _REASON_CHARACTERS))
