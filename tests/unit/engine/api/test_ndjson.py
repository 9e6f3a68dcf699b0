"""The lines of a stream: ASCII, one key each, whole characters, an exit code at the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest
from createos_engine.api.ndjson import Event, Events, frames
from createos_engine.errors import GuestFailed
from createos_engine.words import Ended, Output
from hypothesis import given
from hypothesis import strategies as st


async def played(steps: Sequence[Event | Exception | float]) -> AsyncIterator[Event]:
    """Yield events, raise errors, sleep for numbers."""
    for step in steps:
        if isinstance(step, Exception):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
        else:
            yield step


async def lines_of(*steps: Event | Exception | float, heartbeat_s: float = 5.0) -> list[str]:
    """Return the lines of a whole stream."""
    return [line async for line in frames(Events(played(steps)), heartbeat_s)]


async def test_a_character_cut_between_two_pieces_comes_whole() -> None:
    euro = "€".encode()

    lines = await lines_of(Output(1, euro[:1]), Output(2, b"!"), Output(1, euro[1:]), Ended(0))

    assert lines == ['{"stderr":"!"}\n', '{"stdout":"\\u20ac"}\n', '{"exit_code":0}\n']


async def test_half_a_character_at_the_end_is_replaced() -> None:
    lines = await lines_of(Output(1, b"a\xe2\x82"), Ended(3))

    assert lines == ['{"stdout":"a"}\n', '{"stdout":"\\ufffd"}\n', '{"exit_code":3}\n']


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b", "a\u2029b", "a\r\n\x0b\x0c\x1c\x1db"])
async def test_what_some_clients_take_for_the_end_of_a_line_is_escaped(text: str) -> None:
    lines = await lines_of(Output(1, text.encode()), Ended(0))

    assert len("".join(lines).splitlines()) == 2
    assert json.loads(lines[0]) == {"stdout": text}


async def test_a_big_piece_becomes_many_lines_below_64_kib() -> None:
    text = "\U0001f600" * 50_000

    lines = await lines_of(Output(1, text.encode()), Ended(0))

    assert max(map(len, lines)) < 65_536
    assert "".join(json.loads(line)["stdout"] for line in lines[:-1]) == text


async def test_silence_is_filled_with_heartbeats() -> None:
    lines = await lines_of(0.05, Ended(0), heartbeat_s=0.02)

    assert lines[0] == '{"hb":true}\n'
    assert lines[-1] == '{"exit_code":0}\n'


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([GuestFailed("gone", hint="retry")], "gone; retry"),
        ([], "the end of the program was not reported"),
        ([Ended(126, error="not executable")], "not executable"),
        ([ZeroDivisionError("secret")], "createosd has made a mistake; its log has the details"),
    ],
)
async def test_an_exit_code_follows_every_error(steps: list[Event | Exception], error: str) -> None:
    lines = await lines_of(*steps)

    assert [json.loads(line) for line in lines] == [{"error": error}, {"exit_code": 126}]


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=9))))
def test_any_output_cut_anywhere_decodes_as_if_it_were_whole(pieces: list[tuple[int, bytes]]) -> None:
    lines = asyncio.run(lines_of(*(Output(stream, data) for stream, data in pieces), Ended(0)))

    assert all(line.isascii() and len(json.loads(line)) == 1 for line in lines)
    for number, name in ((1, "stdout"), (2, "stderr")):
        whole = b"".join(data for stream, data in pieces if stream == number)
        assert "".join(json.loads(line).get(name, "") for line in lines) == whole.decode(errors="replace")
