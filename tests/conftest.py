"""What all tests share: the isolation matrix, which tests marked with it fill in."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.matrix import SECURITY_PAGE, Cell, Matrix

_CELLS = pytest.StashKey[list[Cell]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_CELLS] = []
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background: programs, and what they start, would not hear Ctrl-C either.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note what each marked test has shown: with real guests, or with packets written by hand."""
    report = yield
    if call.when == "call" or (call.when == "setup" and report.failed):
        how = "guest" if item.get_closest_marker("vm") else "packets"
        for mark in item.iter_markers("matrix"):
            cell = Cell(*mark.args, how=how, held=report.passed, **mark.kwargs)
            item.config.stash[_CELLS].append(cell)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page when asked to; rows of tests that did not run stay as they are."""
    cells = session.config.stash[_CELLS]
    if cells and os.environ.get("MATRIX"):
        text = SECURITY_PAGE.read_text()
        SECURITY_PAGE.write_text(Matrix.of_page(text).with_cells(cells).into_page(text))
