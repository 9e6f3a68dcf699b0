from __future__ import annotations

import pytest

from tests.matrix import SECURITY_PAGE, Cell, Matrix

PAGE = """before
<!-- must fail -->
| what | first packet | rule change | pause and resume | fork | daemon killed | daemon down |
|---|---|---|---|---|---|---|
| old | packets | – | – | – | – | – |
<!-- end -->
<!-- must succeed -->
| what | first packet | rule change | pause and resume | fork | daemon killed | daemon down |
|---|---|---|---|---|---|---|
<!-- end -->
after
"""


def test_what_was_seen_is_added_to_what_is_there() -> None:
    cells = [
        Cell("old", "fork", how="guest"),
        Cell("old", "first packet", how="guest"),
        Cell("new", "fork", succeeds=True),
    ]

    page = Matrix.of_page(PAGE).with_cells(cells).into_page(PAGE)

    assert "| old | guest, packets | – | – | guest | – | – |" in page
    assert "| new | – | – | – | packets | – | – |" in page
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def test_one_failure_shows_until_the_test_passes_again() -> None:
    failed = Matrix.of_page(PAGE).with_cells([Cell("old", "first packet", held=False), Cell("old", "first packet")])
    page = failed.into_page(PAGE)

    assert "| old | **packets: no** |" in page
    assert Matrix.of_page(page).with_cells([Cell("old", "first packet")]).into_page(page) == PAGE.replace(
        "| what |", "| what a sandbox tries |"
    )


def test_a_moment_that_is_none_is_refused() -> None:
    with pytest.raises(AssertionError, match="teatime"):
        Cell("old", "teatime")


def test_the_page_has_a_place_for_both_tables() -> None:
    text = SECURITY_PAGE.read_text()

    assert Matrix.of_page(text).into_page(text) == text
