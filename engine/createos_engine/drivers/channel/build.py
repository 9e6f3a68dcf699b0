"""A build in a guest that is there for nothing else. Nothing that comes back is believed before it was checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath

from createos_images.in_machine import CODE, JOB
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from createos_engine.drivers.channel.agent import AgentClient, Program, ProgramNotStarted
from createos_engine.drivers.channel.answers import printable
from createos_engine.errors import GuestFailed

_LONGEST_LINE = 4000
_MOST_RESULT_BYTES = 2**20
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_AGAIN = "submit the template again"


class Config(BaseModel):
    """How programs run in an image, as the guest says."""

    model_config = ConfigDict(strict=True, extra="forbid")

    env: dict[str, str] = {}
    working_dir: str = "/"
    user: str = ""
    entrypoint: list[str] = []
    cmd: list[str] = []
    ports: list[str] = []


class Result(BaseModel):
    """What came of a build: bytes of the file system on the result disk and its configuration, or a reason."""

    model_config = ConfigDict(strict=True, extra="forbid")

    size_bytes: int = Field(ge=0)
    config: Config
    reason: str
    hint: str


async def run_build(agent: AgentClient, files: Mapping[PurePath, bytes], say: Callable[[str], None]) -> Result:
    """Put files into a guest, run the build there and return what it says came of it; raise GuestFailed."""
    await _run(agent, "mkdir", "-p", str(JOB))
    for path, content in files.items():
        await _run(agent, "tee", str(path), stdin=content)
    environment = {**_ENVIRONMENT, "PYTHONPATH": str(CODE), "PYTHONUNBUFFERED": "1", "HOME": "/root"}
    argv = ("/bin/sh", "-c", 'exec "$@" 2>&1', "sh", "python3", "-m", "createos_images.in_machine", str(JOB))
    lines = _Lines(say)
    async with agent.exec(Program(argv=argv, env=environment, cwd="/", user="")) as running:
        async for output in running:
            lines.add(output.data)
    lines.end()
    try:
        said = await agent.run(_program("cat", str(JOB / "result.json")), limit_bytes=_MOST_RESULT_BYTES)
        result = Result.model_validate_json(said.stdout)
    except (GuestFailed, ProgramNotStarted, ValidationError) as exc:
        raise GuestFailed("the build was stopped before it ended", hint=_AGAIN) from exc
    return result.model_copy(update={"reason": printable(result.reason, 1000), "hint": printable(result.hint, 1000)})


class _Lines:
    """Hands lines on as they are complete; one that is longer than it may be is several."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rest = b""

    def add(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hand_on(line)
        if len(self._rest) >= _LONGEST_LINE:
            self.end()

    def end(self) -> None:
        if self._rest:
            self._hand_on(self._rest)
            self._rest = b""

    def _hand_on(self, line: bytes) -> None:
        for start in range(0, max(len(line), 1), _LONGEST_LINE):
            self._say(line[start : start + _LONGEST_LINE].decode(errors="replace").rstrip("\r"))


def _program(*argv: str) -> Program:
    return Program(argv=argv, env=_ENVIRONMENT, cwd="/", user="")


async def _run(agent: AgentClient, *argv: str, stdin: bytes | None = None) -> None:
    done = await agent.run(_program(*argv), stdin, limit_bytes=0)
    if done.outcome.exit_code:
        raise GuestFailed(f"{argv[0]} failed in the machine of the build", hint=_AGAIN)
