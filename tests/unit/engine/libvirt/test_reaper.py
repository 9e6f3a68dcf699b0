"""Only daemonised QEMUs are collected; everybody else waits for their own children."""

from __future__ import annotations

from pathlib import Path

import pytest
from createos_engine.drivers.libvirt.reaper import is_orphaned_qemu


@pytest.mark.parametrize(
    ("name", "session", "ours"),
    [
        ("qemu-system-x86", 900, True),
        ("qemu-system-x86", 100, False),
        ("qemu-img", 900, False),
        ("sh", 900, False),
        ("qemu-system) (x", 900, True),
    ],
)
def test_a_daemonised_qemu_is_told_from_a_subprocess(tmp_path: Path, name: str, session: int, ours: bool) -> None:
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "stat").write_text(f"42 ({name}) Z 1 800 {session} 0 -1 0\n")

    assert is_orphaned_qemu(42, own_session=100, proc=tmp_path) is ours


def test_a_process_that_is_gone_is_nobodys(tmp_path: Path) -> None:
    assert not is_orphaned_qemu(42, own_session=100, proc=tmp_path)
