"""A real daemon dies at a step, a real guest goes on: what the unit tests show for every step, seen at some of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from tests.vm.engine import Box, LiveEngine, live_engine, wait_for

pytestmark = [pytest.mark.vm, pytest.mark.root]


@pytest.fixture(scope="module")
def engine() -> Iterator[LiveEngine]:
    """An engine whose first daemon dies in its first pause."""
    with live_engine(die_at="pause.saved") as engine:
        yield engine


@pytest.fixture(scope="module")
def box(engine: LiveEngine) -> Box:
    """A sandbox with something on disk and something in memory, which every test leaves running."""
    box = engine.create(name="survivor")
    box.sh("echo disk >/root/kept; echo memory >/dev/shm/kept; sync")
    return box


def test_pause_resume_and_fork_survive_a_daemon_that_dies_at_a_step(engine: LiveEngine, box: Box) -> None:
    _last_words(engine, box, "pause")
    assert _after(engine, "restore.machine", box, "paused") == []
    _last_words(engine, box, "resume")
    assert _after(engine, "fork.linked", box, "paused") == []
    _last_words(engine, box, "fork")
    assert _after(engine, "", box, "paused") == []

    child = next(Box(engine, {"id": identity}) for identity in engine.rows() if identity != box.id)
    assert (child.view()["status"], "resume it" in child.view()["reason"]) == ("error", True)
    for one in (box, child):
        engine.call("POST", f"/v1/sandboxes/{one.id}/resume")
        _reach(one, "running")
        assert one.sh("cat /root/kept /dev/shm/kept") == "disk\nmemory\n"
    child.destroy()


def test_a_save_that_is_cut_short_and_a_machine_that_dies_in_a_resume_lose_nothing(
    engine: LiveEngine, box: Box
) -> None:
    partial = engine.state / "snapshots" / f"{box.id}.partial" / "memory"
    engine.call("POST", f"/v1/sandboxes/{box.id}/pause")
    wait_for(lambda: partial.exists() or engine.rows()[box.id] == "paused", 60, "no memory is written")
    engine.signal(signal.SIGKILL)
    engine.start()

    if engine.rows()[box.id] != "paused":
        assert box.sh("cat /dev/shm/kept") == "memory\n"
        engine.call("POST", f"/v1/sandboxes/{box.id}/pause")
        _reach(box, "paused")
    engine.call("POST", f"/v1/sandboxes/{box.id}/resume")
    os.kill(wait_for(engine.machines, 60, "no machine was started")[box.id], signal.SIGKILL)
    wait_for(lambda: engine.rows()[box.id] != "resuming", 60, "the death was not noticed")

    # A machine that had come back before it died took the memory with it.
    died_in_resume = (engine.state / "snapshots" / box.id).exists()
    engine.call("POST", f"/v1/sandboxes/{box.id}/resume")
    _reach(box, "running")
    assert box.sh("cat /root/kept") == "disk\n"
    if died_in_resume:
        assert box.sh("cat /dev/shm/kept") == "memory\n"


def _last_words(engine: LiveEngine, box: Box, operation: str) -> None:
    """Ask for an operation and wait for the death it leads to."""
    with suppress(httpx.TransportError):
        engine.http.post(f"/v1/sandboxes/{box.id}/{operation}", json={})
    assert engine.process
    assert engine.process.wait(600) == -signal.SIGKILL


def _after(engine: LiveEngine, next_death: str, box: Box, state: str) -> list[str]:
    """Start the next daemon and return what is not as the rows say."""
    engine.start(die_at=next_death)
    wait_for(lambda: engine.rows()[box.id] == state, 60, f"it is not {state}: {engine.rows()[box.id]}")
    live = {identity for identity, state in engine.rows().items() if state == "running"}
    return [
        *(f"machine {identity}" for identity in engine.machines().keys() ^ live),
        *([f"links {engine.taps()} for {live}"] if len(engine.taps()) != len(live) else []),
        *(entry.name for entry in (engine.state / "snapshots").glob("*.partial")),
        *(str(entry) for entry in (engine.state / "sandboxes").glob("*/*.new")),
    ]


def _reach(box: Box, state: str) -> None:
    wait_for(lambda: box.engine.rows()[box.id] == state, 60, f"it is not {state}: {box.engine.rows()[box.id]}")
