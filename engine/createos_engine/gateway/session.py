"""One session channel: a command line, a shell or SFTP, with or without a terminal."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import asyncssh
import structlog

from createos_engine.drivers.channel.agent import Outcome, Program, ProgramNotStarted, RunningProgram
from createos_engine.drivers.channel.answers import integer
from createos_engine.errors import EngineError
from createos_engine.gateway.channel import GatewayChannel
from createos_engine.gateway.pipe import Pipe
from createos_engine.gateway.ports import Entrance
from createos_engine.services.guests import Guest
from createos_engine.services.relay import OUTPUT
from createos_engine.services.ssh import command, home, variables
from createos_engine.words import Terminal

log = structlog.get_logger(__name__)

# What ssh itself exits with when it is the connection that failed and not the program.
FAILED = 255
NOT_EXECUTABLE, NOT_FOUND = 126, 127
_SFTP = "sftp"
_SIGNALS = frozenset(
    ("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2")
)
_LARGEST = 65_535


class Session(asyncssh.SSHServerSession[bytes]):
    """What a client asks of a session channel, and the program that answers it."""

    def __init__(self, entrance: Entrance, pipe: Pipe, start: Callable[[Any], None]) -> None:
        """`start` runs a coroutine for as long as the gateway does."""
        self._entrance = entrance
        self._pipe = pipe
        self._start = start
        self._channel: GatewayChannel
        self._line: str | None = None
        self._subsystem = ""
        self._pty: Terminal | None = None
        self._running: RunningProgram | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """Remember the channel."""
        assert isinstance(chan, GatewayChannel)
        self._channel = chan
        self._pipe.connected(chan)

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], _modes: Any) -> bool:
        """Give a terminal. Its modes are those of the guest's kernel."""
        cols, rows, *_ = term_size
        self._pty = Terminal(rows=_bounded(rows, 24), cols=_bounded(cols, 80), term=term_type)
        return True

    def shell_requested(self) -> bool:
        """Agree to a shell."""
        return True

    def exec_requested(self, command: str) -> bool:
        """Agree to a command line."""
        self._line = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """Agree to SFTP, the only subsystem."""
        self._subsystem = subsystem
        return subsystem == _SFTP

    def session_started(self) -> None:
        """Begin the work."""
        self._start(self._serve())

    def data_received(self, data: bytes, _datatype: asyncssh.DataType) -> None:
        """Keep input."""
        self._pipe.received(data)

    def eof_received(self) -> bool:
        """Note the end of the input; the program may go on writing."""
        self._pipe.ended()
        return True

    def terminal_size_changed(self, width: int, height: int, _pixwidth: int, _pixheight: int) -> None:
        """Tell the terminal, or the one that is about to be made."""
        if self._pty:
            self._pty = replace(self._pty, rows=_bounded(height, self._pty.rows), cols=_bounded(width, self._pty.cols))
            if self._running:
                self._running.resize(self._pty.rows, self._pty.cols)

    def signal_received(self, signal: str) -> None:
        """Pass a signal on."""
        if self._running and signal in _SIGNALS:
            self._running.signal(f"SIG{signal}")

    def pause_writing(self) -> None:
        """The window is used up."""
        self._pipe.paused()

    def resume_writing(self) -> None:
        """There is window again."""
        self._pipe.resumed()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The channel is closed."""
        self._pipe.lost()

    async def _serve(self) -> None:
        """Do what was asked for and say how it ended; the client always gets an exit status."""
        try:
            with self._entrance() as guest:
                work = asyncio.create_task(self._work(guest), name="ssh session")
                gone = asyncio.create_task(self._pipe.gone(), name="ssh session gone")
                try:
                    await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
                    if work.done():
                        work.result()
                finally:
                    for task in (work, gone):
                        task.cancel()
                    await asyncio.gather(work, gone, return_exceptions=True)
        except EngineError as exc:
            await self._fail(exc.sentence)
        except ConnectionError as exc:
            log.debug("ssh session ended", reason=str(exc))
        except asyncio.CancelledError:
            await self._fail("createosd is stopping; the sandbox keeps running")
            raise
        except Exception:
            await self._fail("the gateway has a bug; the log of createosd has it")
            raise

    async def _work(self, guest: Guest) -> None:
        if self._subsystem:
            await self._transfer(guest)
            return
        program = command(guest.sandbox, self._line, self._channel.variables, self._pty)
        try:
            await self._run(guest, program)
        except ProgramNotStarted as exc:
            if exc.code != "no_shell" or self._line is None:
                await self._fail(_without_shell(exc), NOT_FOUND if exc.code == "not_found" else NOT_EXECUTABLE)
                return
            await self._run_words(guest, program)

    async def _run_words(self, guest: Guest, program: Program) -> None:
        """Run a command line in an image without a shell: the words are split as a shell would, and that is all."""
        try:
            words = shlex.split(self._line or "")
        except ValueError as exc:
            await self._fail(f"the image has no shell, and the command line cannot be split: {exc}", NOT_EXECUTABLE)
            return
        try:
            await self._run(guest, replace(program, argv=tuple(words), shell=False))
        except ProgramNotStarted as exc:
            await self._fail(exc.reason, NOT_FOUND if exc.code == "not_found" else NOT_EXECUTABLE)

    async def _run(self, guest: Guest, program: Program) -> None:
        async with guest.agent.exec(program, self._input()) as running:
            self._running = running
            if self._pty and self._pty != program.pty:
                running.resize(self._pty.rows, self._pty.cols)
            async for output in running:
                await self._pipe.write(output.data, stderr=output.stream != OUTPUT)
        self._exit(running.outcome)

    async def _input(self) -> AsyncIterator[bytes]:
        # A client that goes away ends the session by that; here it is the end of the input.
        with suppress(ConnectionError):
            while data := await self._pipe.read():
                yield data

    async def _transfer(self, guest: Guest) -> None:
        """Let client and SFTP server talk; what they say is theirs."""
        sandbox = guest.sandbox
        env = [f"{key}={value}" for key, value in variables(sandbox, {}).items()]
        stream = await guest.agent.open("sftp", env=env, cwd=home(sandbox), user=sandbox.image.user)
        upward = asyncio.create_task(self._send_up(stream), name="sftp up")
        try:
            async for piece in stream:
                if piece.data:
                    await self._pipe.write(piece.data, stderr=piece.sub != OUTPUT)
            self._channel.exit(integer(await stream.result(), "exit_code", at_most=255))
        finally:
            stream.cancel()
            upward.cancel()
            await asyncio.gather(upward, return_exceptions=True)

    async def _send_up(self, stream: Any) -> None:
        async for data in self._input():
            await stream.send(data)
        stream.send_eof()

    def _exit(self, outcome: Outcome) -> None:
        name = (outcome.signal or "").removeprefix("SIG")
        if name in _SIGNALS:
            self._channel.exit_with_signal(name)
        else:
            self._channel.exit(outcome.exit_code)

    async def _fail(self, sentence: str, status: int = FAILED) -> None:
        """Say why on stderr, as far as the client reads, and give an exit status."""
        newline = "\r\n" if self._pty else "\n"
        self._pipe.say(f"createos: {sentence}{newline}".encode())
        self._channel.exit(status)


def _without_shell(exc: ProgramNotStarted) -> str:
    if exc.code == "no_shell":
        return "the image has no shell; name a program: ssh … /path/to/program"
    return exc.reason


def _bounded(size: int, otherwise: int) -> int:
    return size if 1 <= size <= _LARGEST else otherwise
