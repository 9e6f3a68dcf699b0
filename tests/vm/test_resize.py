"""A root disk grows under a running guest, and what a dead daemon had begun is completed by the next one."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator

import pytest

from tests.vm.engine import Box, LiveEngine, wait_for

MIB = 2**20


@pytest.fixture(scope="module")
def growing(engine: LiveEngine) -> Iterator[Box]:
    box = engine.create(name="growing")
    yield box
    box.destroy()


def root_mib(box: Box) -> int:
    """Return the size of the guest's root file system."""
    return int(box.sh("df -m / | tail -1").split()[1])


def disk_mib(box: Box) -> int:
    """Return the size of the guest's root disk."""
    return int(box.sh("cat /sys/block/vda/size")) * 512 // MIB


def test_disk_and_file_system_grow_while_the_guest_runs(engine: LiveEngine, growing: Box) -> None:
    growing.sh("echo kept > /root/file")
    before = root_mib(growing)

    answer = engine.call("POST", f"/v1/sandboxes/{growing.id}/resize", {"disk_mib": 1536})

    assert answer == {"id": growing.id, "disk_mib": 1536}
    assert disk_mib(growing) == 1536
    assert root_mib(growing) > before + 800
    assert growing.sh("cat /root/file") == "kept\n"
    assert growing.view()["disk_mib"] == 1536
    assert json.loads((engine.state / "sandboxes" / growing.id / "manifest.json").read_text())["disk_mib"] == 1536


def test_what_grew_can_be_filled(growing: Box) -> None:
    growing.sh("dd if=/dev/zero of=/root/filler bs=1M count=700 && rm /root/filler")


@pytest.mark.parametrize("size", [1536, 512])
def test_a_disk_does_not_shrink(engine: LiveEngine, growing: Box, size: int) -> None:
    answer = engine.http.post(f"/v1/sandboxes/{growing.id}/resize", json={"disk_mib": size})

    assert answer.status_code == 400
    assert "can only grow" in answer.json()["data"]["disk_mib"]


def test_a_disk_larger_than_the_host_is_refused(engine: LiveEngine, growing: Box) -> None:
    answer = engine.http.post(f"/v1/sandboxes/{growing.id}/resize", json={"disk_mib": 2**31 - 1})

    assert answer.status_code == 503
    assert "not enough free disk space" in answer.json()["data"]
    assert growing.view()["disk_mib"] == 1536


def test_a_daemon_killed_after_the_intent_leaves_it_to_the_next(engine: LiveEngine, growing: Box) -> None:
    engine.signal(signal.SIGKILL)
    with sqlite3.connect(engine.state / "engine.db") as database:
        database.execute("INSERT INTO resizes VALUES (?, 1536)", (growing.id,))
        database.execute("UPDATE sandboxes SET disk_mib = 2048 WHERE id = ?", (growing.id,))

    engine.start()

    wait_for(lambda: root_mib(growing) > 1900, 30, "the file system did not grow")
    assert disk_mib(growing) == 2048
