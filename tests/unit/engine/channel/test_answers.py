"""JSON of a guest that may say anything."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from createos_engine.drivers.channel.answers import integer, number, parse_error, parse_object, printable
from createos_engine.drivers.channel.errors import ProtocolViolation
from createos_engine.errors import GuestFailed
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"7",
        b"null",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1}x',
        b'{"a":' + b"9" * 5_000 + b"}",
        b"\xff\xfe{\x00}\x00",
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"a":' + b"[" * 17 + b"]" * 17 + b"}",
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_what_is_no_plain_object_breaks_the_protocol(payload: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        parse_object(payload, "an EXIT")


def test_sixteen_levels_and_characters_beyond_ascii_are_fine() -> None:
    value = {"a": json.loads("[" * 15 + "]" * 15), "b": "ü😀"}

    assert parse_object(json.dumps(value).encode(), "an EXIT") == value


def test_a_wide_object_is_not_a_deep_one() -> None:
    value = {str(index): [] for index in range(1_000)}

    assert parse_object(json.dumps(value).encode(), "an EXIT") == value


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_violation(payload: bytes) -> None:
    with suppress(ProtocolViolation):
        parse_object(payload, "an EXIT")


def test_people_never_see_control_characters_of_a_guest() -> None:
    assert printable("\x1b[31mred\x00\n" + "x" * 5_000).startswith("[31mred  xxx")
    assert len(printable("x" * 5_000)) == 2_000
    assert printable(["no", "text"]) == ""


def test_an_error_without_words_still_has_a_reason() -> None:
    error = parse_error(b"{}")

    assert (error.code, error.reason) == ("failed", "the agent gave no reason (failed)")


@pytest.mark.parametrize("value", ["1", True, None, -1, 1.5, 2**63, [1]])
def test_what_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(GuestFailed, match="no valid processes"):
        integer({"processes": value}, "processes")


@pytest.mark.parametrize("value", ["1", True, None, -0.1, float("inf"), [1]])
def test_what_is_no_measure_is_refused(value: object) -> None:
    with pytest.raises(GuestFailed, match="no valid load_1m"):
        number({"load_1m": value}, "load_1m")


def test_a_huge_measure_is_bounded() -> None:
    assert number({"load_1m": 10**400}, "load_1m") == 2**63
