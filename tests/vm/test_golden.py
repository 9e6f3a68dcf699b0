"""Golden snapshots with real guests: creates that are forks of a guest that was nobody's, and what a kill leaves."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vm.engine import Box, LiveEngine, live_engine, wait_for

BUILD_DEADLINE_S = 120.0
IDENTITY = "cat /etc/machine-id /etc/hostname; cat /sys/class/net/eth0/address; head -c 16 /dev/urandom | od -An -tx1"


@pytest.fixture(scope="module")
def golden_engine() -> Iterator[LiveEngine]:
    with live_engine(golden_budget_mib=1024) as engine:
        yield engine


def snapshots(engine: LiveEngine) -> list[dict[str, Any]]:
    """Return what `createosd images` knows of golden snapshots."""
    argv = [sys.executable, "-m", "createos_engine.main", "images", "--json", "--state-dir", str(engine.state)]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    found: list[dict[str, Any]] = json.loads(said)["golden_snapshots"]
    return found


def states(engine: LiveEngine) -> list[str]:
    """Return the states of all golden snapshots, straight from the database."""
    with sqlite3.connect(f"file:{engine.state / 'engine.db'}?mode=ro", uri=True) as database:
        return [state for (state,) in database.execute("SELECT state FROM goldens")]


def built(engine: LiveEngine) -> dict[str, Any]:
    """Return the only golden snapshot as soon as it is ready."""
    wait_for(lambda: states(engine) == ["ready"], BUILD_DEADLINE_S, f"no golden snapshot: {engine.log_tail()}")
    return snapshots(engine)[0]


@pytest.fixture(scope="module")
def golden(golden_engine: LiveEngine) -> dict[str, Any]:
    """The golden snapshot that the first create has brought about."""
    golden_engine.create().destroy()
    return built(golden_engine)


@pytest.fixture(scope="module")
def forks(golden_engine: LiveEngine, golden: dict[str, Any]) -> Iterator[tuple[Box, Box]]:
    """Two creates from it, one of them with all that a create can ask for."""
    network = golden_engine.call("POST", "/v1/networks", {"name": "golden-net"})
    plain = golden_engine.create(name="plain")
    rich = golden_engine.create(
        name="rich",
        disk_mib=1024,
        envs={"GIVEN": "at create"},
        egress=["198.51.100.7"],
        networks=[{"id": network["id"]}],
    )
    yield plain, rich
    for box in (plain, rich):
        box.destroy()


def test_creates_after_the_first_start_from_the_golden_snapshot(
    golden_engine: LiveEngine, golden: dict[str, Any], forks: tuple[Box, Box]
) -> None:
    (now,) = snapshots(golden_engine)

    assert (now["id"], now["uses"]) == (golden["id"], 2)
    assert [box.view()["status"] for box in forks] == ["running", "running"]


def test_each_has_an_identity_of_its_own_and_nothing_of_the_guest_it_was_made_of(forks: tuple[Box, Box]) -> None:
    first, second = (box.sh(IDENTITY).split("\n") for box in forks)

    assert (first[1], second[1]) == ("plain", "rich")
    assert not set(filter(None, first)) & set(filter(None, second))
    for box in forks:
        assert box.row["ip"] in box.sh("ip -4 addr show eth0")
        assert box.row["ip"] in box.sh("cat /etc/hosts")
        assert "golden" not in box.sh("hostname; cat /etc/hostname /etc/hosts")


def test_what_a_create_asks_for_is_there_in_full(forks: tuple[Box, Box]) -> None:
    plain, rich = forks

    assert rich.sh("echo $GIVEN") == "at create\n"
    assert int(rich.sh("df -m / | tail -1 | awk '{print $2}'")) > 900
    assert int(plain.sh("df -m / | tail -1 | awk '{print $2}'")) < 520
    assert "eth1" in rich.sh("ls /sys/class/net")
    assert "eth1" not in plain.sh("ls /sys/class/net")
    assert rich.engine.call("GET", f"/v1/sandboxes/{rich.id}/egress")["egress"] == ["198.51.100.7"]


def test_what_one_writes_no_other_sees(forks: tuple[Box, Box]) -> None:
    plain, rich = forks

    plain.sh("echo mine > /root/mine; sync")

    assert rich.sh("ls /root") == ""


def test_a_sandbox_made_of_one_pauses_and_goes_on_like_any_other(forks: tuple[Box, Box]) -> None:
    plain, _ = forks
    plain.sh("echo kept > /tmp/kept")

    for verb, state in (("pause", "paused"), ("resume", "running")):
        plain.engine.call("POST", f"/v1/sandboxes/{plain.id}/{verb}")
        wait_for(lambda state=state: plain.engine.rows()[plain.id] == state, 60, f"it is not {state}")

    assert plain.sh("cat /tmp/kept; hostname") == "kept\nplain\n"


def test_a_damaged_one_is_dropped_and_a_kill_while_the_next_is_built_leaves_nothing(
    golden_engine: LiveEngine, golden: dict[str, Any], forks: tuple[Box, Box]
) -> None:
    _flip_a_byte(golden_engine.state / "snapshots" / golden["id"] / "memory")

    box = golden_engine.create(name="booted")

    assert box.sh("hostname") == "booted\n"
    wait_for(lambda: states(golden_engine) == ["building"], BUILD_DEADLINE_S, "no build has begun")
    wait_for(lambda: any(name.startswith("gold-") for name in golden_engine.machines()), 60, "no machine was started")
    golden_engine.signal(signal.SIGKILL)
    golden_engine.start()
    wait_for(lambda: not states(golden_engine), 60, "half a golden snapshot is left")
    assert not any(name.startswith("gold-") for name in golden_engine.machines())
    assert list((golden_engine.state / "goldens").iterdir()) == []
    assert list((golden_engine.state / "snapshots").iterdir()) == []
    assert {each.sh("hostname") for each in (*forks, box)} == {"plain\n", "rich\n", "booted\n"}
    box.destroy()


def _flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
