"""Programs in sandboxes: what they are started with and how their output comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from time import perf_counter

from createos_engine.drivers.channel.agent import Program, ProgramNotStarted
from createos_engine.errors import Invalid
from createos_engine.services.guests import Guest, Guests
from createos_engine.words import Command, CommandResult, Ended, Output, Sandbox, User

# What a shell answers for a command it could not run or not find.
NOT_EXECUTABLE, NOT_FOUND = 126, 127


class Execs:
    """Runs commands; the guest agent does the work."""

    def __init__(self, guests: Guests, *, output_limit_bytes: int) -> None:
        self._guests = guests
        self._limit = output_limit_bytes

    async def run(self, user: User, ref: str, command: Command) -> CommandResult:
        """Run to the end and return its output, each stream bounded; cancelling the call ends the program."""
        guest, program = self._prepare(user, ref, command)
        begun = perf_counter()
        try:
            with self._guests.use(guest.sandbox.id):
                done = await guest.agent.run(program, command.stdin or None, limit_bytes=self._limit)
        except ProgramNotStarted as exc:
            return CommandResult(b"", b"", _exit_code(exc), _ms_since(begun), error=exc.reason)
        cut = [name for name, flag in (("stdout", done.stdout_cut), ("stderr", done.stderr_cut)) if flag]
        note = f"{' and '.join(cut)} cut after {self._limit} bytes; stream the command to get all of it" if cut else ""
        return CommandResult(done.stdout, done.stderr, done.outcome.exit_code, _ms_since(begun), error=note)

    async def stream(self, user: User, ref: str, command: Command) -> AsyncIterator[Output | Ended]:
        """Check and start, then return the events; the last is Ended. Closing the iterator ends the program."""
        guest, program = self._prepare(user, ref, command)
        return self._events(guest, program, command.stdin or None)

    async def _events(self, guest: Guest, program: Program, stdin: bytes | None) -> AsyncIterator[Output | Ended]:
        try:
            with self._guests.use(guest.sandbox.id):
                async with guest.agent.exec(program, stdin) as running:
                    async for output in running:
                        yield output
                    yield Ended(running.outcome.exit_code)
        except ProgramNotStarted as exc:
            yield Ended(_exit_code(exc), error=exc.reason)

    def _prepare(self, user: User, ref: str, command: Command) -> tuple[Guest, Program]:
        guest = self._guests.running(user, ref)
        sandbox = guest.sandbox
        program = Program(
            argv=(command.cmd, *command.args),
            env=environment(sandbox, command.env),
            cwd=sandbox.image.working_dir,
            user=sandbox.image.user,
        )
        return guest, program


def environment(sandbox: Sandbox, overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the image's, the sandbox's and this run's variables, later ones winning.

    Raises Invalid (field env) for a key that was not declared when the sandbox was created (wire-api 7.1).
    """
    for key in overrides:
        if key not in sandbox.envs:
            declared = ", ".join(sorted(sandbox.envs)) or "none"
            raise Invalid(
                f"{key} was not declared when the sandbox was created (declared: {declared})",
                hint="name it in envs at create, or set it inside the command",
                field="env",
            )
    return {**sandbox.image.env, **sandbox.envs, **overrides}


def _exit_code(exc: ProgramNotStarted) -> int:
    return NOT_FOUND if exc.code == "not_found" else NOT_EXECUTABLE


def _ms_since(begun: float) -> float:
    return round((perf_counter() - begun) * 1000, 3)
