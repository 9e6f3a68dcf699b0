from __future__ import annotations

import pytest
from createos_cli.formats import local_time, printable, size
from createos_cli.tables import Column, shorten, table, width_of
from hypothesis import given
from hypothesis import strategies as st

TITLES = ("ID", "Name", "Description")
cells = st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60)), max_size=5)


@given(cells, st.integers(min_value=23, max_value=160))
def test_no_row_is_wider_than_the_limit(rows: list[tuple[str, str, str]], limit: int) -> None:
    lines = table([Column(title) for title in TITLES], rows, limit)

    assert all(width_of(line) <= limit for line in lines)
    assert len(lines) == 1 + len(rows)


@given(cells)
def test_headings_stay_whole_however_narrow_the_terminal_is(rows: list[tuple[str, str, str]]) -> None:
    header, *_ = table([Column(title) for title in TITLES], rows, 1)

    assert [word for word in header.split("  ") if word] == list(TITLES) or header.split() == list(TITLES)


def test_the_widest_column_is_shortened_first() -> None:
    lines = table([Column("A"), Column("B")], [("x" * 10, "y" * 30)], 24)

    assert lines[1] == "x" * 10 + "  " + "y" * 9 + "..."


def test_a_missing_value_is_a_dash_and_nothing_trails() -> None:
    assert table([Column("Name"), Column("IP")], [("box", ""), ("", "10.0.0.1")], 80) == [
        "Name  IP",
        "box   -",
        "-     10.0.0.1",
    ]


def test_colour_does_not_count_as_width() -> None:
    lines = table([Column("Status", lambda cell: f"\x1b[32m{cell}\x1b[0m"), Column("IP")], [("running", "::1")], 80)

    assert lines[1] == "\x1b[32mrunning\x1b[0m  ::1"


def test_wide_letters_are_cut_by_the_columns_they_take() -> None:
    assert width_of(shorten("日本語日本語", 8)) <= 8


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 kB"),
        (1536, "1.5 kB"),
        (10 * 1024**2, "10.0 MB"),
        (3 * 1024**4, "3072.0 GB"),
    ],
)
def test_sizes_go_in_steps_of_1024(count: int, text: str) -> None:
    assert size(count) == text


def test_times_are_local_and_what_is_no_time_stays() -> None:
    assert local_time("2026-11-23T10:00:00.123456789Z") == "2026-11-23 10:00:00"
    assert local_time("soon") == "soon"
    assert local_time(None) == ""


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jb\rc\n\td") == "a\ufffd[2Jb\ufffdc\n\td"
