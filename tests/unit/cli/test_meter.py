"""The bar of a transfer: drawn on a terminal, erased at the end, and silent elsewhere."""

from __future__ import annotations

import io
import time

from createos_cli import meter as module
from createos_cli.meter import Meter


def test_a_directory_shows_how_far_it_is_and_leaves_a_clean_line() -> None:
    screen = io.BytesIO()
    meter = Meter("site", None, screen)
    meter.expect(4000)

    time.sleep(module.FIRST_S)
    meter.count(1000)
    meter.erase()

    drawn = screen.getvalue().decode()
    assert "site  █████░░░░░░░░░░░░░░░  25%" in drawn
    assert " s left" in drawn
    assert drawn.endswith("\r\x1b[K")


def test_a_quick_transfer_draws_nothing() -> None:
    screen = io.BytesIO()
    meter = Meter("site", 4000, screen)

    assert b"".join(meter.through([b"x" * 4000])) == b"x" * 4000

    assert screen.getvalue() == b""
    assert meter.bytes == 4000


def test_without_a_terminal_only_bytes_are_counted() -> None:
    meter = Meter("site", None, None)

    meter.count(3)
    meter.erase()

    assert meter.summary.startswith("3 B in ")
