"""The built-in images as people meet them, and the smallest image there can be."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest
from createos_engine.services.bootfiles import probe_guest
from createos_engine.settings import load
from createos_images.ext4 import make_base

from tests.vm.bare import BareMachine
from tests.vm.engine import LiveEngine


@pytest.mark.parametrize(
    ("rootfs", "programs"),
    [("devbox:1", ["bash", "git", "curl", "python3", "/usr/sbin/sshd"]), ("debian:12", ["bash", "apt-get"])],
)
def test_a_built_in_image_has_its_programs_and_no_identity(
    engine: LiveEngine, rootfs: str, programs: list[str]
) -> None:
    box = engine.create(rootfs=rootfs, disk_mib=0)

    found = box.exec("bash", "-lc", f"command -v {' '.join(programs)}")
    keys = box.exec("bash", "-c", "ls /etc/ssh/ssh_host_* 2>/dev/null; cat /etc/machine-id")
    size_mib = int(box.sh("df -m / | tail -1 | awk '{print $2}'"))
    box.destroy()

    assert found["stdout"].count("\n") == len(programs), found
    assert re.fullmatch(r"[0-9a-f]{32}", keys["stdout"].strip()), keys
    assert 9_500 < size_mib <= 10_240


def test_an_image_with_one_program_and_nothing_else_runs_it(tmp_path: Path) -> None:
    """No shell, no /etc, no /dev, no C library: one static program."""
    tree, source = tmp_path / "tree", tmp_path / "main.c"
    tree.mkdir()
    source.write_text('#include <stdio.h>\nint main(void) { puts("hello from scratch"); return 3; }\n')
    subprocess.run(["gcc", "-static", "-O1", "-o", str(tree / "hello"), str(source)], check=True)
    make_base(tree, tmp_path / "scratch.raw")
    machine = BareMachine(probe_guest(load()), tmp_path / "scratch.raw", tmp_path)

    try:
        done = asyncio.run(machine.boot_and_exec("/hello"))
    finally:
        machine.stop()

    assert (done.stdout, done.outcome.exit_code) == (b"hello from scratch\n", 3)
