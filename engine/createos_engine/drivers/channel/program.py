"""A program in a guest: what it is started with, what it writes, how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from createos_engine.drivers.channel.answers import integer, number, printable
from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.mux import Channel
from createos_engine.drivers.channel.stream import INITIAL_WINDOW_BYTES, Stream
from createos_engine.errors import GuestFailed
from createos_engine.words import Output, Terminal

# How long a cancelled program may take to be gone: the agent kills it at once, emulation may be slow.
_CANCEL_WAIT_S = 2.0


@dataclass(frozen=True)
class Program:
    """What to run. `env` is the whole environment; an empty `cwd` is `/`, an empty `user` is root.

    `shell` means the user's login shell: `argv` is empty then, or one line for it to run. With a `pty` all output comes
    on stream 1, input is always open, and `pty.term` is the TERM of an environment that has none.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    user: str = ""
    shell: bool = False
    pty: Terminal | None = None

    @property
    def title(self) -> str:
        """What to call it in a message."""
        return "a shell" if self.shell else self.argv[0]

    def request(self) -> dict[str, object]:
        """Return what the kinds `exec` and `process` of PROTOCOL.md want to know of a program."""
        wanted: dict[str, object] = {
            "argv": list(self.argv),
            "env": [f"{key}={value}" for key, value in self.env.items()],
            "cwd": self.cwd,
            "user": self.user,
        }
        if self.shell:
            wanted["shell"] = True
        if self.pty:
            wanted["pty"] = {"rows": self.pty.rows, "cols": self.pty.cols, "term": self.pty.term}
        return wanted


@dataclass(frozen=True)
class Outcome:
    """How a program ended. Killed by signal n: `exit_code` is 128 + n and `signal` its name."""

    exit_code: int
    signal: str | None
    elapsed_ms: float


@dataclass(frozen=True)
class Finished:
    """A program that ended and what it wrote. `*_cut` tells that more was written than was kept."""

    stdout: bytes
    stderr: bytes
    outcome: Outcome
    stdout_cut: bool
    stderr_cut: bool


class ProgramNotStarted(GuestFailed):
    """The program could not be started; `code` is one of the exec codes of PROTOCOL.md."""

    def __init__(self, program: Program, error: AgentError) -> None:
        super().__init__(f"could not start {program.title}: {error.message}", code=error.code)
        self.code = error.code
        self.message = error.message


class RunningProgram:
    """A program while it runs: enter it to start, iterate over its output, then look at `outcome`.

    Leaving before the end kills it. Raises ProgramNotStarted from the iteration, since only the end says so.
    """

    def __init__(self, channel: Channel, program: Program, stdin: bytes | AsyncIterator[bytes] | None) -> None:
        self._channel = channel
        self._program = program
        self._stdin = None if stdin == b"" else stdin
        self._stream: Stream
        self._feeder: asyncio.Task[None] | None = None
        self._feeding_failure: BaseException | None = None
        self._outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome:
        """How it ended; there is none before the iteration is over."""
        if self._outcome is None:
            raise RuntimeError("the program has not ended: iterate over its output first")
        return self._outcome

    async def __aenter__(self) -> RunningProgram:
        self._stream = await self._channel.open(self._request())
        try:
            await self._begin_stdin()
        except BaseException:
            self._stream.cancel()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stream.cancel()
        await self._stop_feeding()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_WAIT_S):
                await self._stream.wait()

    def resize(self, rows: int, cols: int) -> None:
        """Tell the terminal of the program its size in characters, 1 to 65,535 each; ignored without one."""
        self._stream.send_control({"resize": {"rows": rows, "cols": cols}})

    def signal(self, name: str) -> None:
        """Send a signal, such as `SIGINT`, to the foreground of the terminal, or without one to the process group."""
        self._stream.send_control({"signal": name})

    def __aiter__(self) -> RunningProgram:
        return self

    async def __anext__(self) -> Output:
        try:
            while not (piece := await anext(self._stream)).data:
                pass
        except StopAsyncIteration:
            await self._end()
            raise
        return Output(*piece)

    def _request(self) -> dict[str, object]:
        return {"kind": "exec", **self._program.request(), "stdin": self._stdin is not None}

    async def _begin_stdin(self) -> None:
        """Send input that fits into the window now; only longer input is worth a task of its own."""
        if isinstance(self._stdin, bytes):
            if len(self._stdin) <= INITIAL_WINDOW_BYTES:
                await self._feed(_once(self._stdin))
                return
            self._stdin = _once(self._stdin)
        if self._stdin is not None:
            self._feeder = asyncio.create_task(self._feed(self._stdin), name="feed stdin")

    async def _feed(self, source: AsyncIterator[bytes]) -> None:
        """Send all input; a source that fails ends the program."""
        try:
            async for data in source:
                await self._stream.send(data)
            self._stream.send_eof()
        except BaseException:
            self._stream.cancel()
            raise

    async def _stop_feeding(self) -> None:
        if self._feeder:
            self._feeder.cancel()
            await asyncio.wait({self._feeder})
            self._feeding_failure = None if self._feeder.cancelled() else self._feeder.exception()

    async def _end(self) -> None:
        """Read the result; a failure of the input's source is the caller's to know."""
        await self._stop_feeding()
        if self._feeding_failure:
            raise self._feeding_failure
        try:
            result = await self._stream.result()
        except AgentError as exc:
            raise ProgramNotStarted(self._program, exc) from exc
        self._outcome = Outcome(
            exit_code=integer(result, "exit_code", at_most=255),
            signal=printable(result.get("signal")) or None,
            elapsed_ms=number(result, "elapsed_ms"),
        )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
