"""The power fails at any moment of a pause, a resume, a fork: what a row says is on the disk, is.

The engine works on a small file system of its own. At every moment its device is copied as it is: what nobody has
synced is not there. Each copy is mounted, and a new engine starts on it, without any machine.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.crash_census import end, wrong
from tests.fakes.crash_scenarios import SCENARIOS
from tests.fakes.crash_world import CrashWorld
from tests.fakes.moments import HostState

pytestmark = pytest.mark.root

SIZE = 16 * 2**20
NAMES = ("pause", "fork")


class Device:
    """A file system in a file, mounted at one place; commits of its journal are so rare that only a sync brings one."""

    def __init__(self, place: Path) -> None:
        self.mountpoint = place / "mnt"
        self._file = place / "device"
        self._place = place
        self.mountpoint.mkdir()

    def make(self) -> None:
        """Make a new one and mount it."""
        self._file.unlink(missing_ok=True)
        with self._file.open("wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._file))
        self.mount(self._file)

    def mount(self, file: Path) -> None:
        """Mount a device."""
        _run("mount", "-o", "loop,commit=300,noauto_da_alloc", str(file), str(self.mountpoint))

    def umount(self) -> None:
        """Let go of what is mounted."""
        _run("umount", str(self.mountpoint))

    def copy(self) -> Path:
        """Copy what has reached the device; as long as that is the same the copy is, too."""
        with self._file.open("rb") as file:
            target = self._place / f"copy-{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if not target.exists():
            _run("cp", "--sparse=always", str(self._file), str(target))
        return target


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path)
    yield device
    subprocess.run(["umount", "--lazy", str(device.mountpoint)], check=False, capture_output=True)


@pytest.mark.parametrize("name", NAMES)
async def test_what_the_rows_say_is_there_after_a_power_failure(name: str, device: Device) -> None:
    device.make()
    directory = device.mountpoint / "state"
    prepare, operate = SCENARIOS[name]
    world, copies = await CrashWorld(directory).open(), dict[Path, str]()
    await world.start()
    box = await prepare(world)
    _run("sync", "--file-system", str(directory))
    world.come_by = lambda moment: copies.setdefault(device.copy(), moment) and None
    await operate(world, box)
    await world.close()
    base = shutil.copy(directory.with_name("state.base"), device.mountpoint.parent)
    device.umount()

    assert copies
    for copy, moment in copies.items():
        device.mount(copy)
        shutil.copy(base, directory.with_name("state.base"))
        world = await CrashWorld(directory, HostState()).open()
        await world.start()
        assert wrong(world, memory_safe=False) == [], f"{name}: {moment}"
        assert await end(world) == [], f"{name}: {moment}"
        await world.close()
        device.umount()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
