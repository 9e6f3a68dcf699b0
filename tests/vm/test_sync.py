"""Synchronising with a real machine, as a person does it: the command line, both sides edited, the daemon restarted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vm.engine import Box, LiveEngine, wait_for

REMOTE = "/root/synced"


def command(engine: LiveEngine, box: Box, local: Path, remote: str, *more: str) -> list[str]:
    return [
        str(Path(sys.executable).with_name("createos")), "sandbox", "sync", box.id,
        "--local", str(local), "--remote", remote, "--engine", "builtin", *more,
    ]  # fmt: skip


def once(engine: LiveEngine, box: Box, local: Path, remote: str, *more: str) -> dict[str, Any]:
    done = subprocess.run(  # noqa: PLW1510
        command(engine, box, local, remote, "--once", *more), env=engine.environment, capture_output=True, timeout=600
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "here"
    path.mkdir()
    return path


@pytest.fixture
def watching(engine: LiveEngine, box: Box, local: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A synchronisation that goes on."""
    (local / "first").write_text("1")
    with subprocess.Popen(
        command(engine, box, local, "/root/live"),
        env=engine.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        yield process
        if process.poll() is None:
            process.kill()


def test_both_sides_edited_end_the_same(engine: LiveEngine, box: Box, local: Path) -> None:
    (local / "d").mkdir()
    (local / "d" / "run").write_text("#!/bin/sh\necho hi\n")
    (local / "d" / "run").chmod(0o755)
    (local / "link").symlink_to("d/run")
    (local / "both").write_text("base")
    (local / "gone").write_text("x")
    once(engine, box, local, REMOTE)
    assert box.sh(f"{REMOTE}/link") == "hi\n"

    (local / "both").write_text("mine")
    (local / "gone").unlink()
    (local / "d" / "run").rename(local / "d" / "runs")
    box.sh(f"cd {REMOTE} && echo -n theirs > both && mkdir new && echo -n there > new/file")
    outcome = once(engine, box, local, REMOTE)

    (conflict,) = outcome["conflicts"]
    assert (local / "both").read_text() == "mine"
    assert (local / conflict["copy"]).read_text() == "theirs"
    assert (local / "new" / "file").read_text() == "there"
    assert outcome["renamed"] == 1
    listing = box.sh(f"cd {REMOTE} && find . -mindepth 1 | sort").split()
    assert listing == sorted(f"./{path.relative_to(local)}" for path in local.rglob("*"))


def test_a_running_synchronisation_survives_a_restart_and_a_pause_and_ends_with_ctrl_c(
    engine: LiveEngine, box: Box, local: Path, watching: subprocess.Popen[bytes]
) -> None:
    there = "cat /root/live/{} 2>/dev/null; true"
    wait_for(lambda: box.sh(there.format("first")) == "1", 30, "the first file did not arrive")
    box.sh("echo -n 2 > /root/live/second")
    wait_for((local / "second").exists, 15, "the guest's file did not arrive")

    engine.signal(signal.SIGKILL)
    (local / "third").write_text("3")
    engine.start()

    wait_for(lambda: box.sh(there.format("third")) == "3", 40, "it did not go on after the restart")

    box.pause()
    (local / "fourth").write_text("4")
    assert watching.poll() is None
    box.resume()

    wait_for(lambda: box.sh(there.format("fourth")) == "4", 40, "it did not go on after the resume")
    box.sh("rm /root/live/second")
    wait_for(lambda: not (local / "second").exists(), 15, "the removal did not arrive")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(60) == 0
    assert box.sh("ls -A /root/live").split() == ["first", "fourth", "third"]
