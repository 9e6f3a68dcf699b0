"""Sandboxes over a libvirt daemon of the host instead of the driver in createosd: the same, and it may be killed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vm.engine import Box, LiveEngine, live_engine, wait_for
from tests.vm.libvirtd import PROGRAM, Libvirtd, libvirtd

pytestmark = pytest.mark.skipif(not Path(PROGRAM).exists(), reason="libvirtd is not installed")

MADE_DEADLINE_S = 120.0
SETTLED = {"running", "paused", "error"}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Libvirtd]:
    with libvirtd() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def over_daemon(daemon: Libvirtd) -> Iterator[LiveEngine]:
    """An engine that uses it."""
    with live_engine(libvirt_uri=daemon.uri, golden_budget_mib=1024, standbys=1) as engine:
        yield engine


@pytest.fixture(scope="module")
def kept(over_daemon: LiveEngine) -> Iterator[Box]:
    """A sandbox with something in memory and something on disk."""
    box = over_daemon.create(name="kept")
    box.sh("echo memory >/dev/shm/kept; echo disk >/root/kept; sync")
    yield box
    box.destroy()


def remembers(box: Box) -> bool:
    """Tell whether memory and disk are as they were."""
    return box.sh("cat /dev/shm/kept /root/kept") == "memory\ndisk\n"


def test_a_sandbox_pauses_goes_on_and_is_forked(kept: Box) -> None:
    kept.pause()
    fork = Box(kept.engine, kept.engine.call("POST", f"/v1/sandboxes/{kept.id}/fork", {}))
    fork.reach("running")
    kept.resume()

    assert remembers(kept)
    assert remembers(fork)
    assert fork.sh("cat /etc/machine-id") != kept.sh("cat /etc/machine-id")
    fork.destroy()


def test_a_machine_stands_by_and_has_the_title_of_its_sandbox_afterwards(
    daemon: Libvirtd, over_daemon: LiveEngine, kept: Box
) -> None:
    wait_for(lambda: "machine stands by" in over_daemon.log.read_text(), MADE_DEADLINE_S, "nothing stands by")
    assert "standby (busybox:1" in daemon.titles()

    box = over_daemon.create(name="taken")

    assert "machine taken over" in over_daemon.log.read_text()
    assert "taken (busybox:1" in daemon.titles()
    assert box.sh("hostname") == "taken\n"
    box.pause()
    box.resume()
    assert box.sh("hostname") == "taken\n"
    box.destroy()


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_nothing_is_lost_when_it_is_killed_in_the_middle(
    daemon: Libvirtd, over_daemon: LiveEngine, kept: Box, verb: str
) -> None:
    if verb == "resume":
        kept.pause()
    before = over_daemon.machines().get(kept.id)
    partial = over_daemon.state / "snapshots" / f"{kept.id}.partial" / "memory"
    begun: Callable[[], object] = {
        "pause": partial.exists,
        "resume": lambda: over_daemon.machines().get(kept.id) not in (None, before),
    }[verb]

    over_daemon.call("POST", f"/v1/sandboxes/{kept.id}/{verb}")
    wait_for(lambda: begun() or over_daemon.rows()[kept.id] in SETTLED, 30, f"the {verb} does not begin")
    daemon.kill()
    daemon.start()
    wait_for(lambda: over_daemon.rows()[kept.id] in SETTLED, 60, f"it stays {over_daemon.rows()[kept.id]}")

    wait_for(lambda: _runs_again(kept), 60, f"it is {over_daemon.rows()[kept.id]}")
    assert remembers(kept)
    wait_for(lambda: not _strangers(over_daemon), 60, f"left behind: {_strangers(over_daemon)}")


def test_a_fork_in_which_it_is_killed_leaves_source_and_fork_whole(
    daemon: Libvirtd, over_daemon: LiveEngine, kept: Box
) -> None:
    kept.pause()
    fork = Box(over_daemon, over_daemon.call("POST", f"/v1/sandboxes/{kept.id}/fork", {}))
    wait_for(lambda: fork.id in over_daemon.machines() or over_daemon.rows()[fork.id] in SETTLED, 30, "no fork begins")
    daemon.kill()
    daemon.start()
    wait_for(lambda: over_daemon.rows()[fork.id] in SETTLED, 60, f"it stays {over_daemon.rows()[fork.id]}")

    for box in (kept, fork):
        wait_for(lambda box=box: _runs_again(box), 60, f"it is {over_daemon.rows()[box.id]}")
        assert remembers(box)
    assert fork.sh("cat /etc/machine-id") != kept.sh("cat /etc/machine-id")
    fork.destroy()


def test_nothing_is_left_of_a_golden_snapshot_in_whose_building_it_is_killed(
    daemon: Libvirtd, over_daemon: LiveEngine
) -> None:
    box = over_daemon.create(shape="s-1vcpu-1gb")
    wait_for(lambda: _golden_machines(over_daemon), MADE_DEADLINE_S, "no golden snapshot is built")
    daemon.kill()
    daemon.start()

    wait_for(lambda: not _golden_machines(over_daemon), 60, "its machine stays")
    wait_for(lambda: not _half_built(over_daemon), 60, f"half built: {_half_built(over_daemon)}")
    assert box.sh("echo here") == "here\n"
    box.destroy()


def _golden_machines(engine: LiveEngine) -> list[str]:
    return [name for name in engine.machines() if name.startswith("gold-")]


def _half_built(engine: LiveEngine) -> list[str]:
    """Return what there is of golden snapshots that are not finished."""
    with sqlite3.connect(f"file:{engine.state / 'engine.db'}?mode=ro", uri=True) as database:
        rows = [name for (name,) in database.execute("SELECT id FROM goldens WHERE state = 'building'")]
    partial = [entry.name for entry in (engine.state / "snapshots").glob("gold-*.partial")]
    return [*rows, *partial, *(entry.name for entry in (engine.state / "goldens").iterdir())]


def _runs_again(box: Box) -> bool:
    """Resume a sandbox that does not run; one whose engine has not found libvirt again yet is tried once more."""
    state = box.engine.rows()[box.id]
    if state in {"paused", "error"}:
        box.engine.http.post(f"/v1/sandboxes/{box.id}/resume")
    return state == "running"


def _strangers(engine: LiveEngine) -> list[str]:
    """Return the machines that no live sandbox owns, but for one that stands by."""
    live = {identity for identity, state in engine.rows().items() if state == "running"}
    others = sorted(engine.machines().keys() - live)
    return others if len(others) > 1 else []
