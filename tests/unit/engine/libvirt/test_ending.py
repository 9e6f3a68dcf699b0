"""A machine that is ended is gone, and collected, before anybody can hear of it; nobody else's process is touched."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from createos_engine.drivers.libvirt.ending import end

NAME = "createos-ab12-one"


class _Libvirt:
    """Knows a machine until its monitor is closed, and then notes whether its process is still there."""

    def __init__(self, monitor: socket.socket, pid: int) -> None:
        self._monitor = monitor
        self._pid = pid
        self.still_there: list[bool] = []

    def lookupByName(self, name: str) -> str:  # noqa: N802  libvirt's name
        if self._monitor.recv(1):
            return name
        self.still_there.append(Path(f"/proc/{self._pid}").exists())
        gone = libvirt.libvirtError("Domain not found")
        gone.err = (libvirt.VIR_ERR_NO_DOMAIN, 0, "Domain not found", 0, None, None, None, 0, 0)
        raise gone


class Qemu:
    """A process that looks like a machine's, with one end of its monitor."""

    def __init__(self, directory: Path, name: str) -> None:
        self.monitor, inside = socket.socketpair()
        arguments = ["sleep", "600"]
        self.process = subprocess.Popen(
            ["bash", "-c", 'exec -a "guest=$0,debug-threads=on" "$@"', name, *arguments], pass_fds=(inside.fileno(),)
        )
        inside.close()
        self.pid_file = directory / "one.pid"
        self.pid_file.write_text(f"{self.process.pid}\n")
        while b"guest=" not in Path(f"/proc/{self.process.pid}/cmdline").read_bytes().split(b"\0")[0]:
            os.sched_yield()

    def alive(self) -> bool:
        """Tell whether it is there; one that was collected elsewhere is not."""
        return self.process.poll() is None


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Qemu]:
    qemu = Qemu(tmp_path, NAME)
    yield qemu
    qemu.process.kill()
    qemu.process.wait()
    qemu.monitor.close()


def test_its_monitor_is_closed_after_it_was_collected(machine: Qemu) -> None:
    libvirt_driver: Any = _Libvirt(machine.monitor, machine.process.pid)

    end(libvirt_driver, NAME, machine.pid_file)

    assert libvirt_driver.still_there == [False]


def test_a_process_of_another_name_is_left_alone(machine: Qemu) -> None:
    end(object(), "createos-ab12-two", machine.pid_file)

    assert machine.alive()


@pytest.mark.parametrize("text", ["", "no number", "999999999"])
def test_a_process_that_cannot_be_told_is_left_to_libvirt(tmp_path: Path, text: str) -> None:
    pid_file = tmp_path / "one.pid"
    pid_file.write_text(text)

    end(object(), NAME, pid_file)
    end(object(), NAME, tmp_path / "missing.pid")
