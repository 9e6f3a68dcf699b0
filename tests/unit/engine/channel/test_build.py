"""A build in a guest: its log comes line by line, and nothing it says of itself is believed unchecked."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any, cast

import pytest
from createos_engine.drivers.channel.agent import AgentClient, Finished, Outcome, Program
from createos_engine.drivers.channel.build import run_build
from createos_engine.drivers.channel.program import Output
from createos_engine.errors import GuestFailed

GOOD = {"size_bytes": 4096, "config": {"env": {"A": "b"}, "working_dir": "/srv"}, "reason": "", "hint": ""}


class Running:
    """A program that prints pieces."""

    outcome = Outcome(0, None, 0)

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aenter__(self) -> Running:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def __aiter__(self) -> Running:
        return self

    async def __anext__(self) -> Output:
        if not self._pieces:
            raise StopAsyncIteration
        return Output(1, self._pieces.pop(0))


class FakeGuest:
    """Takes files, prints *pieces* and leaves *result*."""

    def __init__(self, *pieces: bytes, result: object = GOOD) -> None:
        self.files: dict[str, bytes] = {}
        self._pieces = list(pieces)
        self._result = result if isinstance(result, bytes) else json.dumps(result).encode()

    async def run(self, program: Program, stdin: bytes | None = None, *, limit_bytes: int) -> Finished:
        if program.argv[0] == "tee":
            self.files[program.argv[1]] = stdin or b""
        return Finished(self._result[:limit_bytes], b"", Outcome(0, None, 0), False, False)

    def exec(self, program: Program) -> Running:
        return Running(self._pieces)


async def built(guest: FakeGuest) -> tuple[Any, list[str]]:
    lines: list[str] = []
    return await run_build(cast("AgentClient", guest), {PurePath("/build/a"): b"text"}, lines.append), lines


async def test_files_go_in_lines_come_out_and_the_result_is_read() -> None:
    guest = FakeGuest(b"STEP 1\nSTE", b"P 2\r\nlast")

    result, lines = await built(guest)

    assert guest.files == {"/build/a": b"text"}
    assert lines == ["STEP 1", "STEP 2", "last"]
    assert (result.size_bytes, result.config.env, result.config.user) == (4096, {"A": "b"}, "")


async def test_a_line_without_an_end_does_not_pile_up() -> None:
    _, lines = await built(FakeGuest(*[b"x" * 3000] * 100))

    assert sum(map(len, lines)) == 300_000
    assert max(map(len, lines)) <= 7000


@pytest.mark.parametrize(
    "result",
    [
        b"",
        b"no json",
        [],
        {**GOOD, "size_bytes": -1},
        {**GOOD, "size_bytes": "4096"},
        {**GOOD, "config": {"env": {"A": 1}}},
        {**GOOD, "config": {"surprise": 1}},
        {**GOOD, "more": 1},
        b'{"size_bytes": 4096, "config": {"env": {"A": "' + b"x" * 2**21,
    ],
)
async def test_a_result_of_any_other_form_is_none(result: object) -> None:
    with pytest.raises(GuestFailed, match="the build was stopped before it ended"):
        await built(FakeGuest(result=result))


async def test_a_reason_is_shown_without_what_a_terminal_would_obey() -> None:
    result, _ = await built(FakeGuest(result={**GOOD, "reason": "the step \x1b[2J failed"}))

    assert "\x1b" not in result.reason
