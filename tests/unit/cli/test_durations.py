from __future__ import annotations

import pytest
from createos_cli.durations import parse_auto_pause, parse_duration, short_duration
from createos_cli.errors import Usage


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 600),
        ("1h", 3600),
        ("1h30m", 5400),
        ("90s", 90),
        ("1.5h", 5400),
        (".5m", 30),
        ("1m0.5s", 60.5),
        ("100ms", 0.1),
        ("5us", 5e-6),
        ("5µs", 5e-6),
        ("7ns", 7e-9),
        ("+2s", 2),
        ("-2s", -2),
        ("0", 0),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "m", "1 h", "1h 30m", "ten", "1d", "--1s", "1h-30m", "11ss", "1,5h", "٣s"])
def test_anything_else_is_a_usage_error_with_an_example(text: str) -> None:
    with pytest.raises(Usage) as failed:
        parse_duration(text)

    assert "1h30m" in failed.value.hint


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("24h", 86400), ("1m30.9s", 90)])
def test_auto_pause_accepts_a_minute_to_a_day(text: str, seconds: int) -> None:
    assert parse_auto_pause(text) == seconds


@pytest.mark.parametrize("text", ["59s", "24h1s", "0", "-5m"])
def test_auto_pause_refuses_less_and_more(text: str) -> None:
    with pytest.raises(Usage, match="out of range"):
        parse_auto_pause(text)


@pytest.mark.parametrize(("seconds", "text"), [(90, "1m30s"), (3600, "1h"), (86400, "24h"), (0, "0s")])
def test_seconds_are_written_shortly(seconds: int, text: str) -> None:
    assert short_duration(seconds) == text
