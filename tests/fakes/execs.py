"""Programs that are a few words this file knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from createos_engine.api.ports import SandboxPort
from createos_engine.errors import Invalid
from createos_engine.lifecycle import require_running
from createos_engine.words import Command, CommandResult, Ended, Output, Sandbox, User


class FakeExecs:
    """Programs: `echo WORDS`, `cat`, `env`, `exit N`, `hang`; `sh -c` takes one of them. `script` overrides all."""

    def __init__(self, sandboxes: SandboxPort) -> None:
        self._sandboxes = sandboxes
        self.commands: list[Command] = []
        self.script: list[Output | Ended | Exception | float] | None = None
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self, user: User, ref: str, command: Command) -> CommandResult:
        """Collect what the stream would say."""
        kept = {1: b"", 2: b""}
        last = Ended(0)
        async for event in await self.stream(user, ref, command):
            if isinstance(event, Output):
                kept[event.stream] += event.data
            else:
                last = event
        return CommandResult(kept[1], kept[2], last.exit_code, 12.345, last.error)

    async def stream(self, user: User, ref: str, command: Command) -> AsyncIterator[Output | Ended]:
        """Check, then return the events."""
        row = await self._sandboxes.get(user, ref)
        require_running(row.state)
        if unknown := sorted(set(command.env) - set(row.envs)):
            raise Invalid(f"{unknown[0]} was not declared when the sandbox was created", field="env")
        self.commands.append(command)
        script = _program(row, command) if self.script is None else self.script
        return self._play(script)

    async def _play(self, script: Sequence[Output | Ended | Exception | float]) -> AsyncIterator[Output | Ended]:
        self.begun.set()
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.ended.set()


def _program(row: Sandbox, command: Command) -> list[Output | Ended | Exception | float]:
    words = [command.cmd, *command.args]
    if words[0] == "sh":
        words = words[2].split()
    match words:
        case ["echo", *rest]:
            return [Output(1, " ".join(rest).encode() + b"\n"), Ended(0)]
        case ["cat"]:
            return [Output(1, command.stdin), Ended(0)]
        case ["env"]:
            lines = sorted(f"{key}={value}\n" for key, value in {**row.envs, **command.env}.items())
            return [Output(1, "".join(lines).encode()), Ended(0)]
        case ["exit", code]:
            return [Output(2, b"failing\n"), Ended(int(code))]
        case ["hang"]:
            return [3600.0, Ended(0)]
    return [Ended(127, error=f"{words[0]}: no such program")]
