"""A machine that stands by: nobody's while it waits, the next sandbox's in a moment, and never left behind."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.engine import Box, LiveEngine, live_engine, wait_for

MADE_DEADLINE_S = 120.0
IDENTITY = "cat /etc/machine-id /etc/hostname; cat /sys/class/net/eth0/address; head -c 16 /dev/urandom | od -An -tx1"


@pytest.fixture(scope="module")
def ready_engine() -> Iterator[LiveEngine]:
    """An engine in which a golden snapshot is built, and a machine stands by."""
    with live_engine(golden_budget_mib=1024, standbys=1) as engine:
        engine.create().destroy()
        yield engine


def waiting(engine: LiveEngine) -> str:
    """Return the id of the machine that stands by, as soon as there is one."""

    def look() -> str:
        with sqlite3.connect(f"file:{engine.state / 'engine.db'}?mode=ro", uri=True) as database:
            found = database.execute("SELECT id FROM standbys WHERE ready").fetchall()
        return found[0][0] if found else ""

    return str(wait_for(look, MADE_DEADLINE_S, f"nothing stands by: {engine.log_tail()}"))


def strangers(engine: LiveEngine) -> list[str]:
    """Return what the host has beside live sandboxes."""
    return engine.discrepancies()


def cpu_ticks(pid: int) -> int:
    """Return the processor time that a process has used, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.fixture(scope="module")
def taken(ready_engine: LiveEngine) -> Iterator[tuple[Box, Box]]:
    """Two creates that have taken over machines, one of them with all that a create can ask for."""
    network = ready_engine.call("POST", "/v1/networks", {"name": "standby-net"})
    boxes = []
    for wanted in (
        {"name": "plain"},
        {"name": "rich", "disk_mib": 1024, "envs": {"GIVEN": "at create"}, "networks": [{"id": network["id"]}]},
    ):
        standby = waiting(ready_engine)
        boxes.append(ready_engine.create(**wanted))
        assert boxes[-1].id == standby
    yield boxes[0], boxes[1]
    for box in boxes:
        box.destroy()


def test_it_waits_behind_a_closed_link_and_uses_no_processor(ready_engine: LiveEngine) -> None:
    standby = waiting(ready_engine)

    pid, links = (
        ready_engine.machines()[standby],
        subprocess.run(["ip", "-json", "link"], capture_output=True, check=True),
    )
    (tap,) = (link for link in json.loads(links.stdout) if link["ifname"] in ready_engine.taps())
    before = cpu_ticks(pid)
    time.sleep(2)

    assert "UP" not in tap["flags"]
    assert cpu_ticks(pid) - before <= 2


def test_each_create_gets_an_identity_of_its_own_and_nothing_of_the_guest_that_waited(taken: tuple[Box, Box]) -> None:
    first, second = (box.sh(IDENTITY).split("\n") for box in taken)

    assert (first[1], second[1]) == ("plain", "rich")
    assert not set(filter(None, first)) & set(filter(None, second))
    for box in taken:
        assert box.row["ip"] in box.sh("ip -4 addr show eth0")
        assert box.row["ip"] in box.sh("cat /etc/hosts")
        assert "standby" not in box.sh("hostname; cat /etc/hostname /etc/hosts")
        assert box.exec("nc", "-w", "30", "169.254.77.1", "53")["exit_code"] == 0
        assert abs(int(box.sh("date +%s")) - time.time()) < 5


def test_what_a_create_asks_for_is_there_in_full(taken: tuple[Box, Box]) -> None:
    plain, rich = taken

    assert rich.sh("echo $GIVEN") == "at create\n"
    assert int(rich.sh("df -m / | tail -1 | awk '{print $2}'")) > 900
    assert "eth1" in rich.sh("ls /sys/class/net")
    assert "eth1" not in plain.sh("ls /sys/class/net")
    assert json.loads((plain.engine.state / "sandboxes" / plain.id / "manifest.json").read_text())["name"] == "plain"


def test_it_pauses_goes_on_and_is_forked_like_any_other(taken: tuple[Box, Box]) -> None:
    plain, _ = taken
    plain.sh("echo kept >/dev/shm/kept")

    plain.pause()
    fork = Box(plain.engine, plain.engine.call("POST", f"/v1/sandboxes/{plain.id}/fork", {}))
    fork.reach("running")
    plain.resume()

    assert plain.sh("cat /dev/shm/kept; hostname") == "kept\nplain\n"
    assert fork.sh("cat /dev/shm/kept") == "kept\n"
    assert fork.sh("cat /etc/machine-id") != plain.sh("cat /etc/machine-id")
    fork.destroy()


def test_one_that_dies_while_it_waits_is_cleared_away_and_the_next_create_does_without(
    ready_engine: LiveEngine, taken: tuple[Box, Box]
) -> None:
    standby = waiting(ready_engine)

    os.kill(ready_engine.machines()[standby], signal.SIGKILL)
    wait_for(lambda: not strangers(ready_engine), 20, "what is left of it stays")
    box = ready_engine.create(name="without")

    assert box.id != standby
    assert box.sh("hostname") == "without\n"
    box.destroy()


def test_a_daemon_that_is_killed_leaves_none_to_the_next_and_one_that_ends_leaves_none_at_all(
    ready_engine: LiveEngine, taken: tuple[Box, Box]
) -> None:
    standby = waiting(ready_engine)

    ready_engine.signal(signal.SIGKILL)
    assert standby in ready_engine.machines()
    ready_engine.start()
    wait_for(lambda: not strangers(ready_engine), 20, "what a killed daemon left stays")

    ready_engine.create(name="another").destroy()
    standby = waiting(ready_engine)
    assert ready_engine.signal(signal.SIGTERM) == 0
    assert standby not in ready_engine.machines()
    ready_engine.start()
    assert [box.sh("hostname") for box in taken] == ["plain\n", "rich\n"]
