"""Real machines: one daemon for the whole run, sandboxes shared where tests allow it, and a census after every test.

The test run must be in a network namespace of its own (`make test` sees to that).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.engine import Box, LiveEngine, live_engine, wait_for


@pytest.fixture(scope="session")
def engine() -> Iterator[LiveEngine]:
    """One daemon for all tests that do not need their own."""
    with live_engine(ingress_resumes=True, build_memory_mib=512) as engine:
        yield engine


@pytest.fixture(scope="session")
def box(engine: LiveEngine) -> Iterator[Box]:
    """A running busybox sandbox that tests may use but must not break."""
    box = engine.create(name="shared", envs={"DECLARED": "at create"})
    yield box
    box.destroy()


@pytest.fixture(autouse=True)
def _census(engine: LiveEngine) -> Iterator[None]:
    """After every test the host holds what the database says and nothing else."""
    yield
    wait_for(lambda: not engine.discrepancies(), 20, f"left behind: {engine.discrepancies()}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the last log lines of every daemon of a test with its failure."""
    report = yield
    if report.when == "call" and report.failed:
        for name, engine in getattr(item, "funcargs", {}).items():
            if isinstance(engine, LiveEngine):
                report.sections.append((f"createosd log of {name}", engine.log_tail()))
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder boots machines."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vm)
