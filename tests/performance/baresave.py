"""QEMU alone, saved to a file and started from it: the floor of pause, resume and fork."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any, TextIO

from createos_engine.drivers.channel.agent import AgentClient, Program
from createos_engine.drivers.libvirt.probe import ProbeGuest

from tests.vm.bare import BareMachine

_DEADLINE_S = 60.0
_POLL_S = 0.01
_UNBOUNDED = 2**50


class Monitor:
    """QEMU's monitor, one question at a time (QEMU docs/interop/qmp-spec)."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines
        lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: object) -> Any:
        """Return what QEMU answers; events are passed over."""
        self._lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._lines.flush()
        while True:
            said = json.loads(self._lines.readline())
            if "error" in said:
                raise RuntimeError(f"{command}: {said['error']['desc']}")
            if "return" in said:
                return said["return"]


class BareSaved(BareMachine):
    """A bare machine with a monitor, which can be saved to `memory` and started from it."""

    def __init__(self, guest: ProbeGuest, base: Path, directory: Path, mem_mib: int) -> None:
        super().__init__(guest, base, directory)
        self.memory = directory / "memory"
        self._monitor = directory / "monitor.sock"
        self._mem_mib = mem_mib

    def boot(self) -> None:
        """Boot and wait for a program."""
        asyncio.run(self.boot_and_exec("true"))

    def save(self) -> None:
        """Write memory and devices to the file."""
        with self._qmp() as monitor:
            monitor.ask("migrate-set-parameters", **{"max-bandwidth": _UNBOUNDED})
            monitor.ask("migrate", uri=f"exec:cat > {self.memory}")
            while monitor.ask("query-migrate").get("status") != "completed":
                sleep(_POLL_S)

    def resume_and_exec(self) -> None:
        """Start from the file and wait for a program."""
        self.channel.unlink()
        self.start("-incoming", f"exec:cat {self.memory}")
        asyncio.run(self._exec())

    async def _exec(self) -> None:
        agent = await AgentClient.connect(self.channel, deadline_s=_DEADLINE_S)
        await agent.run(Program(argv=("true",), env={}, cwd="/", user=""), None, limit_bytes=1024)
        await agent.close()

    def _argv(self) -> list[str]:
        return [*super()._argv(), "-m", str(self._mem_mib), "-qmp", f"unix:{self._monitor},server=on,wait=off"]

    @contextmanager
    def _qmp(self) -> Iterator[Monitor]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_DEADLINE_S)
            connection.connect(str(self._monitor))
            with connection.makefile("rw", encoding="utf-8") as lines:
                yield Monitor(lines)
