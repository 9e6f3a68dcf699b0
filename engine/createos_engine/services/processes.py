"""Managed processes: programs that outlive the connection, kept by the guest agent (wire-api 8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager

from createos_engine.drivers.channel.agent import Program
from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.processes import ProcessClient
from createos_engine.errors import (
    Conflict,
    EngineError,
    GuestFailed,
    Invalid,
    NotFound,
    TimedOut,
    TooLarge,
    Unavailable,
)
from createos_engine.process import NewProcess, OutputLost, Process, ProcessEvent, Scope
from createos_engine.services.guests import Guests
from createos_engine.words import Sandbox, User

INPUT_BYTES = 2**20


class Processes:
    """Each call finds the user's running sandbox and asks its agent; nothing is remembered here."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    async def create(self, user: User, ref: str, wanted: NewProcess) -> Process:
        """Start a process with the image's user and, unless said otherwise, its directory and variables."""
        with self._client(user, ref) as (client, sandbox):
            return await client.start(_program(sandbox, wanted), strict_cwd=bool(wanted.cwd))

    async def list(self, user: User, ref: str) -> Sequence[Process]:
        """Return the processes that the guest still knows, oldest first."""
        with self._client(user, ref) as (client, _):
            return await client.list()

    async def get(self, user: User, ref: str, process_id: str) -> Process:
        """Return one process."""
        with self._client(user, ref) as (client, _):
            return await client.get(process_id)

    async def connect(self, user: User, ref: str, process_id: str, after: int) -> AsyncIterator[ProcessEvent]:
        """Check, then return the events behind number *after*; a guest that is lost on the way is the last of them."""
        with self._client(user, ref) as (client, sandbox):
            await client.get(process_id)
            return self._events(client, sandbox, process_id, after)

    async def input(self, user: User, ref: str, process_id: str, data: bytes) -> int:
        """Write input in one piece; return how many calls there were so far."""
        if len(data) > INPUT_BYTES:
            raise TooLarge(f"{len(data)} bytes of input; one call may bring {INPUT_BYTES}", hint="send it in pieces")
        with self._client(user, ref) as (client, _):
            try:
                return await client.input(process_id, data)
            except TimeoutError as exc:
                raise GuestFailed("the guest agent did not take the input in time") from exc

    async def close_stdin(self, user: User, ref: str, process_id: str) -> None:
        """End the input of a process on pipes."""
        with self._client(user, ref) as (client, _):
            await client.close_stdin(process_id)

    async def resize(self, user: User, ref: str, process_id: str, rows: int, cols: int) -> None:
        """Tell a terminal its size in characters."""
        with self._client(user, ref) as (client, _):
            await client.resize(process_id, rows, cols)

    async def signal(self, user: User, ref: str, process_id: str, name: str) -> None:
        """Signal the foreground of a terminal, or a process group."""
        with self._client(user, ref) as (client, _):
            await client.signal(process_id, name)

    async def wait(self, user: User, ref: str, process_id: str, scope: Scope, timeout_s: float) -> Process:
        """Return the process when its leader or its tree has ended; TimedOut when that takes longer."""
        with self._client(user, ref) as (client, _):
            process, ended = await client.wait(process_id, scope, timeout_s)
        if not ended:
            raise TimedOut(f"the process has not ended within {timeout_s:g} s", hint="ask again")
        return process

    async def delete(self, user: User, ref: str, process_id: str, grace_s: float) -> Process:
        """End the tree: politely, and after the grace for certain."""
        with self._client(user, ref) as (client, _):
            process, _ = await client.delete(process_id, grace_s)
            return process

    async def _events(
        self, client: ProcessClient, sandbox: Sandbox, process_id: str, after: int
    ) -> AsyncIterator[ProcessEvent]:
        try:
            with self._guests.use(sandbox.id):
                async with aclosing(client.attach(process_id, after)) as events:
                    async for event in events:
                        yield event
        except EngineError as exc:
            yield OutputLost(exc.reason)

    @contextmanager
    def _client(self, user: User, ref: str) -> Iterator[tuple[ProcessClient, Sandbox]]:
        """Count as a user of the sandbox and put the agent's refusals into words."""
        guest = self._guests.running(user, ref)
        with self._guests.use(guest.sandbox.id):
            try:
                yield ProcessClient(guest.agent), guest.sandbox
            except AgentError as exc:
                raise _refusal(exc) from exc


def _program(sandbox: Sandbox, wanted: NewProcess) -> Program:
    """Return the program; the variables of a process are free, unlike those of an exec (wire-api 8.2)."""
    if not wanted.cmd and not wanted.terminal:
        raise Invalid("cmd is required without a pty", field="cmd")
    return Program(
        argv=(wanted.cmd, *wanted.args) if wanted.cmd else (),
        env={**sandbox.image.env, **sandbox.envs, **wanted.env},
        cwd=wanted.cwd or sandbox.image.working_dir,
        user=sandbox.image.user,
        shell=not wanted.cmd,
        pty=wanted.terminal,
    )


NO_SHELL = "this image has no shell"
NO_SHELL_HINT = "run a program of it: createos sandbox exec BOX -- PROGRAM"


def _refusal(exc: AgentError) -> EngineError:
    """Say in the API's words what the agent refused (PROTOCOL.md, process)."""
    said: dict[str, EngineError] = {
        "no_process": NotFound("process not found", hint="createos sandbox process list BOX"),
        "not_found": Invalid(exc.message, field="cmd"),
        "not_executable": Invalid(exc.message, field="cmd"),
        "too_large": Invalid(exc.message, hint="pass fewer or shorter arguments", field="args"),
        "bad_cwd": Invalid(exc.message, hint="create the directory first", field="cwd"),
        "bad_user": Conflict(f"the image's user cannot be used: {exc.message}"),
        "no_shell": Conflict(NO_SHELL, hint=NO_SHELL_HINT),
        "too_many": Conflict(exc.message),
        "wrong_kind": Conflict(exc.message),
        "ended": Conflict(exc.message),
        "input_closed": Conflict(exc.message),
        "input_full": Unavailable(exc.message, hint="nothing was written; try again"),
        "bad_request": Invalid(exc.message),
    }
    return said.get(exc.code) or GuestFailed(f"the guest agent could not do it: {exc.message}", code=exc.code)
