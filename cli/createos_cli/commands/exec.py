"""`exec`: run a program in a sandbox. Its output is ours, unchanged, and so is its exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from createos_cli.argv import hoist_exec
from createos_cli.client import JsonObject, segment
from createos_cli.commands.pairs import parse_pairs
from createos_cli.errors import CliError, Usage
from createos_cli.resolve import resolve

if TYPE_CHECKING:
    import typer

    from createos_cli.session import Session

EXAMPLES = """\b
Examples:
  createos sandbox exec my-box -- uname -a
  createos sandbox exec my-box --stream -- sh -c 'for i in 1 2 3; do date; sleep 1; done'
  createos sandbox exec my-box -- sh -c 'cat > /tmp/list' < list.txt
Standard input is read to its end before the program starts, when it is a file or a pipe."""
STREAM_FLAGS = frozenset({"-s", "--stream"})
SILENCE_REMARK_S = 3.0
EXIT_CODES = 256


@dataclass(frozen=True)
class ExecCall:
    """What to run, and where. *stdin* is a file name, `-`, or empty for whatever is piped in."""

    sandbox: str
    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    stdin: str = ""
    stream: bool = False


def register(group: typer.Typer) -> None:
    """Add the command of this file; typer reads the calls that plain_call leaves to it, and makes the help."""
    from createos_cli.commands.exec_words import exec_
    from createos_cli.groups import ExecCommand

    group.command("exec", cls=ExecCommand, epilog=EXAMPLES)(exec_)


def plain_call(tokens: Sequence[str]) -> ExecCall | None:
    """Read a complete and correct call without typer, which would cost 100 ms; None for anything else."""
    flags, sandbox, command = hoist_exec(tokens)
    env: list[str] = []
    stdin, stream = "", False
    words = iter(flags)
    for word in words:
        name, equals, value = word.partition("=")
        if word in STREAM_FLAGS:
            stream = True
        elif name not in ("--env", "--stdin") or (text := value if equals else next(words, None)) is None:
            return None
        elif name == "--env":
            env.append(text)
        else:
            stdin = text
    return ExecCall(sandbox, tuple(command), tuple(env), stdin, stream) if sandbox and command else None


def execute(session: Session, call: ExecCall) -> int:
    """Run it and return the program's exit code."""
    env = parse_pairs(call.env, "--env")
    program, *arguments = call.command
    sandbox_id = resolve(session.client, call.sandbox)
    text = _read_stdin(session, call.stdin)
    body: JsonObject = {"cmd": program, "args": arguments, "stdin": text, "env": env}
    body = {key: value for key, value in body.items() if value}
    path = f"/v1/sandboxes/{segment(sandbox_id)}/exec"
    if call.stream:
        return _relay(session, session.client.stream(f"{path}?stream=true", {**body, "stream": True}))
    result = session.client.post(path, body, silence_s=None).get("result")
    if not isinstance(result, dict):
        raise CliError("the server did not say how the program ended", hint="see the daemon's log")
    return _show(session, sandbox_id, result)


def _show(session: Session, sandbox_id: str, result: JsonObject) -> int:
    """Print a buffered result; JSON only when it was asked for by name (cli-behaviour 5.1)."""
    code = _exit_code(result.get("exit_code"))
    stdout, stderr, error = (str(result.get(key) or "") for key in ("stdout", "stderr", "error"))
    if session.output.as_json:
        document = {"sandbox_id": sandbox_id, "exit_code": code, "stdout": stdout, "stderr": stderr, "error": error}
        session.output.show(document, ())
        return code
    session.output.write(_completed(stdout))
    session.output.write_error(_completed(stderr))
    if error:
        session.output.fail_line(error)
    return code or int(bool(error))


def _relay(session: Session, frames: Iterable[JsonObject]) -> int:
    """Pass output on as it comes. Without an exit code the end counts as success, unless an error was reported."""
    code: int | None = None
    failed = False
    for frame in frames:
        session.output.write(_encoded(frame.get("stdout")))
        session.output.write_error(_encoded(frame.get("stderr")))
        if frame.get("error"):
            failed = True
            session.output.fail_line(str(frame["error"]))
        if "exit_code" in frame:
            code = _exit_code(frame["exit_code"])
    return int(failed) if code is None else code


def _read_stdin(session: Session, source: str) -> str:
    """Return the whole standard input for the program; it goes out as text, so anything but UTF-8 is refused."""
    if source and source != "-":
        data = _read_file(source)
    elif source or session.around.stdin_is_piped:
        if session.around.stdin_is_silent(SILENCE_REMARK_S):
            session.output.remark("Waiting for the end of standard input; when there is none, add </dev/null.")
        data = session.around.stdin.read()
    else:
        return ""
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise Usage(
            f"standard input is not UTF-8 text (byte {exc.start})",
            hint="exec carries text only; send it through base64",
        ) from exc


def _read_file(path: str) -> bytes:
    from pathlib import Path

    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise Usage(
            f"--stdin {path} cannot be read: {exc.strerror}", hint="name a readable file, or - to read a pipe"
        ) from exc


def _exit_code(told: Any) -> int:
    """Fit an exit code into what a process may return; a failure never becomes 0."""
    code = told if isinstance(told, int) else 1
    return code % EXIT_CODES or int(code != 0)


def _completed(text: str) -> bytes:
    return _encoded(text if not text or text.endswith("\n") else f"{text}\n")


def _encoded(text: Any) -> bytes:
    return text.encode(errors="replace") if isinstance(text, str) else b""
