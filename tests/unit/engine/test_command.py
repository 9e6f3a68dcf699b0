"""The one door for programs of the host."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from createos_engine.drivers.command import run
from createos_engine.drivers.disk import Disks
from createos_engine.errors import HostFailed


async def test_stdout_comes_back_and_stdin_goes_in() -> None:
    assert await run("cat", deadline_s=60, stdin=b"hello") == "hello"


async def test_arguments_see_no_shell() -> None:
    assert await run("printf", "%s", "$HOME; true", deadline_s=60) == "$HOME; true"


async def test_a_failure_is_the_last_line_of_stderr() -> None:
    with pytest.raises(HostFailed, match="^sh: second$"):
        await run("sh", "-c", "echo first >&2; echo second >&2; exit 3", deadline_s=60)


async def test_a_missing_program_is_named() -> None:
    with pytest.raises(HostFailed, match=r"no-such-program: No such file"):
        await run("no-such-program", deadline_s=60)


@pytest.mark.parametrize("how", ["deadline", "cancel"])
async def test_what_takes_too_long_or_is_given_up_ends_with_its_children(tmp_path: Path, how: str) -> None:
    pid = tmp_path / "pid"
    work = asyncio.ensure_future(
        run("sh", "-c", f"sleep 100 & echo $! > {pid}; wait", deadline_s=0.5 if how == "deadline" else 60)
    )
    while not pid.exists() or not pid.read_text():
        await asyncio.sleep(0.01)

    if how == "cancel":
        work.cancel()
    with pytest.raises((HostFailed, asyncio.CancelledError)):
        await work

    await asyncio.sleep(0.05)
    stat = Path(f"/proc/{pid.read_text().strip()}/stat")
    assert not stat.exists() or ") Z " in stat.read_text()


async def test_an_overlay_lies_on_its_base_and_is_private(tmp_path: Path) -> None:
    base, overlay = tmp_path / "base.raw", tmp_path / "overlay.qcow2"
    base.touch()
    os.truncate(base, 2**20)
    overlay.write_text("of an earlier try")

    await Disks().create_overlay(base, overlay, 64)

    described = await run("qemu-img", "info", "--output=json", overlay, deadline_s=60)
    assert f'"backing-filename": "{base}"' in described
    assert f'"virtual-size": {64 * 2**20}' in described
    assert overlay.stat().st_mode & 0o777 == 0o600


async def test_an_overlay_without_a_base_says_which(tmp_path: Path) -> None:
    with pytest.raises(HostFailed, match=r"nowhere\.raw"):
        await Disks().create_overlay(tmp_path / "nowhere.raw", tmp_path / "overlay.qcow2", 64)
