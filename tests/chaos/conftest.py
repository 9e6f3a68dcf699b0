"""Daemons that are killed: each test has an engine of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm.engine import LiveEngine, live_engine


@pytest.fixture
def engine() -> Iterator[LiveEngine]:
    """A daemon of this test alone; whatever was done to it, nothing may be left in the end."""
    with live_engine() as engine:
        yield engine
