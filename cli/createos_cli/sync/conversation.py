"""Requests and answers on a link. Requests are sent ahead; the guest answers them in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from createos_cli.sync.entries import ABSENT, Entry
from createos_cli.sync.failures import Code, Refused
from createos_cli.sync.link import Link
from createos_cli.sync.messages import Fields, Type, garbage

# Requests that may be unanswered: they and their answers must fit into the buffers on the way.
MOST_AHEAD = 256


@dataclass
class Answer:
    """How a request ended. *flag* is the sign that DONE carries, *refused* why it was not done."""

    entry: Entry = ABSENT
    flag: bool = False
    refused: Refused | None = None
    digest: bytes = b""


@dataclass
class Waiting:
    """A request that has no answer yet."""

    number: int
    then: Callable[[Answer], None]
    on_data: Callable[[bytes], None] | None = None
    digest: bytes = b""
    answered: bool = field(default=False)


class Conversation:
    """Numbers requests and brings answers to whoever asked. `changed` is set when the guest tells of a change."""

    def __init__(self, link: Link, on_entry: Callable[[Fields], None]) -> None:
        self.link = link
        self.changed = False
        self._on_entry = on_entry
        self._last = 0
        self._waiting: deque[Waiting] = deque()

    def expect(self, then: Callable[[Answer], None], on_data: Callable[[bytes], None] | None = None) -> Waiting:
        """Take the next number for a request that the caller sends now."""
        self._last += 1
        waiting = Waiting(self._last, then, on_data)
        self._waiting.append(waiting)
        return waiting

    def keep_up(self) -> None:
        """Read the answers that are there; wait for some when too many requests are on the way."""
        while len(self._waiting) >= MOST_AHEAD:
            self.step()
        self.poll()

    def poll(self) -> None:
        """Read what has come already."""
        while self.link.is_ready():
            self.step()

    def settle(self) -> None:
        """Wait until everything is answered."""
        while self._waiting:
            self.step()

    def step(self) -> None:
        """Wait for one message and deal with it."""
        self.link.flush()
        kind, payload = self.link.receive()
        fields = Fields(payload)
        if kind == Type.ENTRY:
            self._on_entry(fields)
        elif kind == Type.CHANGED:
            self.changed = True
        elif kind != Type.ALIVE:
            self._answer(kind, fields)

    def _answer(self, kind: int, fields: Fields) -> None:
        number = fields.number()
        if not self._waiting or self._waiting[0].number != number:
            raise garbage("an answer that nobody had asked for")
        waiting = self._waiting[0]
        if kind == Type.DATA and waiting.on_data:
            waiting.on_data(fields.rest())
        elif kind == Type.HASHED:
            waiting.digest = fields.rest()
        elif kind == Type.DONE:
            entry, flag = fields.entry()
            self._end(waiting, Answer(entry, flag, digest=waiting.digest))
        elif kind == Type.FAILED:
            code = fields.code()
            known = Code(code) if code in frozenset(Code) else Code.OTHER
            self._end(waiting, Answer(refused=Refused(known, fields.text())))
        else:
            raise garbage(f"a message of type {kind}")

    def _end(self, waiting: Waiting, answer: Answer) -> None:
        self._waiting.popleft()
        waiting.answered = True
        waiting.then(answer)
