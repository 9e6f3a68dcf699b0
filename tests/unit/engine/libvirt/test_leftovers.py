"""What a killed daemon's libvirt was doing is ended, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from createos_engine.drivers.libvirt.leftovers import end_leftovers


def test_only_a_capability_qemu_of_this_root_is_ended(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    sleep = [sys.executable, "-c", "import time; time.sleep(60)", "-qmp"]
    with (
        subprocess.Popen([*sleep, f"unix:{ours}/lib/qemu/qmp-AB12/qmp.monitor,server=on"]) as leftover,
        subprocess.Popen([*sleep, f"unix:{theirs}/lib/qemu/qmp-AB12/qmp.monitor,server=on"]) as stranger,
    ):
        ended = end_leftovers(ours)

        assert ended == [leftover.pid]
        assert leftover.wait(120) == -9
        assert stranger.poll() is None
        stranger.kill()
