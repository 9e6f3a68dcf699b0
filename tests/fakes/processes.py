"""Managed processes that run on this machine, a few known programs only, kept as the guest agent keeps them."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import signal
import struct
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from createos_engine.api.ports import SandboxPort
from createos_engine.errors import Conflict, Invalid, NotFound, TimedOut
from createos_engine.lifecycle import require_running
from createos_engine.process import (
    NewProcess,
    OutputExpired,
    OutputWindow,
    Process,
    ProcessEvent,
    ProcessExit,
    ProcessOutput,
    ProcessState,
    Scope,
)
from createos_engine.words import Sandbox, User

KEPT_EVENTS = 200
KNOWN = ("sh", "cat", "sleep", "true")


class Running:
    """One process and the last of what it wrote."""

    def __init__(self, wanted: NewProcess) -> None:
        self.id = f"proc-{secrets.token_hex(8)}"
        self.wanted = wanted
        self.created = datetime.now(UTC)
        self.events: list[ProcessOutput | ProcessExit] = []
        self.seq = 0
        self.inputs = 0
        self.input_open = True
        self.finished: datetime | None = None
        self.changed = asyncio.Condition()
        self.terminal: int | None = None
        self.process: asyncio.subprocess.Process
        self.reading: list[asyncio.Task[None]] = []
        self.watching: asyncio.Task[None] | None = None

    async def start(self, env: dict[str, str]) -> None:
        """Run the program on pipes or on a terminal of its own."""
        argv = (self.wanted.cmd or "/bin/sh", *self.wanted.args)
        pipe = asyncio.subprocess.PIPE
        cwd = self.wanted.cwd or "/"
        if not self.wanted.terminal:
            self.process = await asyncio.create_subprocess_exec(
                *argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=cwd, env=env, start_new_session=True
            )
            pipes = {"stdout": self.process.stdout, "stderr": self.process.stderr}
            self.reading = [asyncio.create_task(self._read(name, pipe)) for name, pipe in pipes.items() if pipe]
        else:
            await self._start_on_terminal(argv, cwd, env)
        self.watching = asyncio.create_task(self._watch())

    async def _start_on_terminal(self, argv: Sequence[str], cwd: str, env: dict[str, str]) -> None:
        assert self.wanted.terminal
        self.terminal, theirs = os.openpty()
        self.resize(self.wanted.terminal.rows, self.wanted.terminal.cols)
        self.process = await asyncio.create_subprocess_exec(
            "setsid", "--ctty", "--wait", *argv, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=env
        )
        os.close(theirs)
        self.reading = [asyncio.create_task(self._read_terminal(self.terminal))]

    def resize(self, rows: int, cols: int) -> None:
        """Tell the terminal its size."""
        assert self.terminal is not None
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    async def _read(self, name: str, pipe: asyncio.StreamReader) -> None:
        while data := await pipe.read(32_768):
            await self.add(ProcessOutput(self.next(), name, data))

    async def _read_terminal(self, terminal: int) -> None:
        with suppress(OSError):
            while data := await asyncio.to_thread(os.read, terminal, 32_768):
                await self.add(ProcessOutput(self.next(), "pty", data))

    async def _watch(self) -> None:
        code = await self.process.wait()
        await asyncio.gather(*self.reading)
        self.finished, self.input_open = datetime.now(UTC), False
        name = signal.Signals(-code).name if code < 0 else ""
        await self.add(ProcessExit(self.next(), 128 - code if code < 0 else code, name))

    def next(self) -> int:
        """Return the number of a new event."""
        self.seq += 1
        return self.seq

    async def add(self, event: ProcessOutput | ProcessExit) -> None:
        """Keep an event and wake the readers."""
        self.events = [*self.events, event][-KEPT_EVENTS:]
        async with self.changed:
            self.changed.notify_all()

    @property
    def oldest(self) -> int:
        """The number of the oldest event that is kept."""
        return self.events[0].seq if self.events else self.seq + 1

    def view(self) -> Process:
        """Describe it."""
        last = self.events[-1] if self.finished else None
        ended = last if isinstance(last, ProcessExit) else None
        return Process(
            id=self.id,
            on_terminal=self.terminal is not None,
            pid=self.process.pid,
            state=ProcessState.EXITED if ended else ProcessState.RUNNING,
            leader_exited=ended is not None,
            tree_exited=ended is not None,
            created_at=self.created,
            finished_at=self.finished,
            exit_code=ended.exit_code if ended else None,
            signal=ended.signal if ended else "",
            cmd=self.wanted.cmd or "/bin/sh",
            args=self.wanted.args,
            cwd=self.wanted.cwd or "/",
            output=OutputWindow(
                self.oldest, self.seq, sum(len(e.data) for e in self.events if isinstance(e, ProcessOutput))
            ),
        )

    async def ended(self, within_s: float) -> bool:
        """Wait for the end, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s), self.changed:
                await self.changed.wait_for(lambda: self.finished is not None)
        return self.finished is not None

    def kill(self, number: signal.Signals) -> None:
        """Signal the group of the process, or of what runs on its terminal.

        A terminal that nobody has taken yet has group 0, which to killpg means the tests themselves.
        """
        with suppress(ProcessLookupError):
            group = os.tcgetpgrp(self.terminal) if self.terminal is not None else self.process.pid
            if group > 0:
                os.killpg(group, number)
            else:
                self.process.send_signal(number)


class FakeProcesses:
    """The processes of all sandboxes."""

    def __init__(self, sandboxes: SandboxPort) -> None:
        self._sandboxes = sandboxes
        self.all: dict[str, Running] = {}

    async def create(self, user: User, ref: str, wanted: NewProcess) -> Process:
        """Start a program of this machine."""
        row = await self._running(user, ref)
        if not wanted.cmd and not wanted.terminal:
            raise Invalid("cmd is required without a pty", field="cmd")
        if wanted.cwd and not Path(wanted.cwd).is_dir():
            raise Invalid(f"working directory {wanted.cwd}: no such file or directory", field="cwd")
        if wanted.cmd and wanted.cmd not in KNOWN:
            raise Invalid(f"{wanted.cmd}: not found in PATH", field="cmd")
        process = Running(wanted)
        await process.start({"PATH": os.environ["PATH"], **row.envs, **wanted.env})
        self.all[process.id] = process
        return process.view()

    async def list(self, user: User, ref: str) -> Sequence[Process]:
        """Describe all."""
        await self._running(user, ref)
        return [process.view() for process in self.all.values()]

    async def get(self, user: User, ref: str, process_id: str) -> Process:
        """Describe one."""
        return (await self._find(user, ref, process_id)).view()

    async def connect(self, user: User, ref: str, process_id: str, after: int) -> AsyncIterator[ProcessEvent]:
        """Check, then return the events."""
        return self._events(await self._find(user, ref, process_id), after)

    async def input(self, user: User, ref: str, process_id: str, data: bytes) -> int:
        """Write input."""
        process = await self._find(user, ref, process_id)
        if not process.input_open:
            raise Conflict("the input of the process is closed")
        process.inputs += 1
        if process.terminal is not None:
            os.write(process.terminal, data)
        elif process.process.stdin:
            process.process.stdin.write(data)
            await process.process.stdin.drain()
        return process.inputs

    async def close_stdin(self, user: User, ref: str, process_id: str) -> None:
        """End the input."""
        process = await self._find(user, ref, process_id)
        if process.terminal is not None or not process.process.stdin:
            raise Conflict("the input of a terminal cannot be closed")
        process.input_open = False
        process.process.stdin.close()

    async def resize(self, user: User, ref: str, process_id: str, rows: int, cols: int) -> None:
        """Tell the terminal its size."""
        process = await self._find(user, ref, process_id)
        if process.terminal is None:
            raise Conflict("the process has no terminal")
        process.resize(rows, cols)

    async def signal(self, user: User, ref: str, process_id: str, name: str) -> None:
        """Signal it."""
        process = await self._find(user, ref, process_id)
        if process.finished:
            raise Conflict("the process has ended")
        process.kill(signal.Signals[name])

    async def wait(self, user: User, ref: str, process_id: str, scope: Scope, timeout_s: float) -> Process:
        """Wait for the end; the leader is the whole tree here."""
        process = await self._find(user, ref, process_id)
        if not await process.ended(timeout_s):
            raise TimedOut(f"the {scope} of the process has not ended within {timeout_s:g} s")
        return process.view()

    async def delete(self, user: User, ref: str, process_id: str, grace_s: float) -> Process:
        """Ask, then kill."""
        process = await self._find(user, ref, process_id)
        if not process.finished and grace_s:
            process.kill(signal.SIGTERM)
        if not await process.ended(grace_s):
            process.process.kill()
            process.kill(signal.SIGKILL)
            await process.ended(5)
        return process.view()

    async def _events(self, process: Running, after: int) -> AsyncIterator[ProcessEvent]:
        after = after or process.oldest - 1
        while True:
            if after + 1 < process.oldest:
                yield OutputExpired(process.oldest)
                return
            for event in [event for event in process.events if event.seq > after]:
                yield event
                after = event.seq
            if process.finished and after >= process.seq:
                return
            seen = after
            async with process.changed:
                await process.changed.wait_for(lambda seen=seen: process.seq > seen or process.finished is not None)

    async def _find(self, user: User, ref: str, process_id: str) -> Running:
        await self._running(user, ref)
        if process_id not in self.all:
            raise NotFound("process not found")
        return self.all[process_id]

    async def _running(self, user: User, ref: str) -> Sandbox:
        row = await self._sandboxes.get(user, ref)
        require_running(row.state)
        return row
