"""`process`: programs that outlive the connection (cli-behaviour 9.3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from createos_cli.client import JsonObject, segment
from createos_cli.commands.pairs import parse_pairs
from createos_cli.commands.pick import one_sandbox
from createos_cli.durations import parse_duration
from createos_cli.errors import Usage
from createos_cli.groups import command_group
from createos_cli.process_calls import follow_output, input_bytes, send_input, wait_for_end
from createos_cli.process_terminal import attach_terminal
from createos_cli.process_views import exit_code, process_table, show
from createos_cli.resolve import resolve
from createos_cli.session import Session

GROUP_EXAMPLES = """\b
Examples:
  createos sandbox process run my-box -- make test
  createos sandbox process start my-box -- python3 -m http.server
  createos sandbox process shell my-box"""


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  createos sandbox process {line}" for line in lines)


Sandbox = Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")]
Process = Annotated[str, typer.Argument(metavar="PROCESS", help="Its id, from process list.")]
Words = Annotated[list[str] | None, typer.Argument(metavar="SANDBOX -- PROGRAM...", help="What to run.")]
Cwd = Annotated[str, typer.Option("--cwd", metavar="DIR", help="Where it runs.")]
Env = Annotated[list[str] | None, typer.Option("--env", metavar="KEY=VALUE", help="Variable; repeatable.")]
Pty = Annotated[bool, typer.Option("--pty", "--tty", "-t", help="Give it a terminal.")]
Rows = Annotated[int, typer.Option("--rows", help="Lines of its terminal.")]
Cols = Annotated[int, typer.Option("--cols", help="Columns of its terminal.")]
After = Annotated[int, typer.Option("--after", metavar="SEQ", help="Only output behind this number.")]
NoFollow = Annotated[bool, typer.Option("--no-follow", help="Do not wait for its end.")]
Every = Annotated[bool, typer.Option("--all", help="Wait for all that it has started, too.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="DUR", help="Give up waiting after, such as 90s.")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    processes = command_group("Run programs that outlive the connection.", GROUP_EXAMPLES)
    commands: tuple[tuple[str, Any, str], ...] = (
        ("run", run, _examples("run my-box -- make test", "run my-box --env CI=1 -- ./build.sh")),
        ("start", start, _examples("start my-box -- python3 -m http.server", "start my-box --follow -- make")),
        ("shell", shell, _examples("shell my-box", "shell my-box --no-attach")),
        ("attach|connect", attach, _examples("attach my-box PROCESS", "attach my-box PROCESS --after 120")),
        ("list|ls|ps", list_, _examples("list my-box")),
        ("get", get, _examples("get my-box PROCESS")),
        ("input", input_, _examples("input my-box PROCESS --text 'yes'", "input my-box PROCESS --file answers")),
        ("close-stdin", close_stdin, _examples("close-stdin my-box PROCESS")),
        ("resize", resize, _examples("resize my-box PROCESS --rows 50 --cols 132")),
        ("signal", signal, _examples("signal my-box PROCESS SIGHUP")),
        ("wait", wait, _examples("wait my-box PROCESS", "wait my-box PROCESS --all --timeout 10m")),
        ("stop|kill|rm", stop, _examples("stop my-box PROCESS --grace 5s")),
    )
    for name, command, examples in commands:
        processes.command(name, epilog=examples)(command)
    group.add_typer(processes, name="process|proc")


def run(
    ctx: typer.Context,
    words: Words = None,
    cwd: Cwd = "",
    env: Env = None,
    pty: Pty = False,
    rows: Rows = 0,
    cols: Cols = 0,
    after: After = 0,
    no_follow: NoFollow = False,
    every: Every = False,
    timeout: Timeout = "",
) -> int:
    """Start a program and follow it to its end; the exit code is the program's."""
    session: Session = ctx.obj
    box, made = _start(session, words, cwd, env, _terminal(pty, rows, cols))
    path = _path(box, str(made["process_id"]))
    if no_follow:
        show(session, made)
        return 0
    if not session.output.as_json:
        return follow_output(session, path, after)
    ended = wait_for_end(session.client, path, "tree" if every else "leader", timeout)
    show(session, ended)
    return exit_code(ended)


def start(
    ctx: typer.Context,
    words: Words = None,
    cwd: Cwd = "",
    env: Env = None,
    pty: Pty = False,
    rows: Rows = 0,
    cols: Cols = 0,
    follow_: Annotated[bool, typer.Option("--follow", help="Show its output.")] = False,
) -> int:
    """Start a program and return at once."""
    session: Session = ctx.obj
    box, made = _start(session, words, cwd, env, _terminal(pty, rows, cols))
    show(session, made)
    return follow_output(session, _path(box, str(made["process_id"])), 0) if follow_ else 0


def shell(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    cwd: Cwd = "",
    env: Env = None,
    rows: Rows = 0,
    cols: Cols = 0,
    cmd: Annotated[str, typer.Option("--cmd", help="Another shell than the user's.")] = "",
    no_attach: Annotated[bool, typer.Option("--no-attach", help="Only start it.")] = False,
) -> int:
    """Start a shell that stays when you leave it; Ctrl-] detaches."""
    session: Session = ctx.obj
    words = [sandbox or one_sandbox(session, "", "process shell", status="running"), *([cmd] if cmd else [])]
    box, made = _start(session, words, cwd, env, _terminal(True, rows, cols), shell=not cmd)
    if no_attach:
        show(session, made)
        return 0
    return attach_terminal(session, _path(box, str(made["process_id"])))


def attach(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    process: Process = "",
    after: After = 0,
    no_follow: NoFollow = False,
    stdin: Annotated[bool, typer.Option("--stdin", help="Send our standard input, too.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Do not take the terminal over.")] = False,
) -> int:
    """Show what a process has printed, and follow it.

    The exit code is the process's own.
    """
    session: Session = ctx.obj
    path = _named(session, sandbox, process, "attach")
    found = session.client.get(path)
    if found.get("kind") == "pty" and not raw and session.around.stdin_is_terminal:
        return attach_terminal(session, path, after)
    if stdin:
        send_input(session, path, session.around.stdin.read())
        session.client.post(f"{path}/stdin/close", {})
    if no_follow and found.get("state") in ("running", "starting"):
        show(session, found)
        return 0
    return follow_output(session, path, after)


def list_(ctx: typer.Context, sandbox: Sandbox = "") -> None:
    """List processes; ended ones stay for a while."""
    session: Session = ctx.obj
    box = one_sandbox(session, sandbox, "process list", status="running")
    rows = session.client.get(f"/v1/sandboxes/{segment(box)}/processes").get("processes") or []
    session.output.show(rows, process_table(rows, session.output) if rows else ["There are no processes."])


def get(ctx: typer.Context, sandbox: Sandbox = "", process: Process = "") -> None:
    """Show one process."""
    session: Session = ctx.obj
    show(session, session.client.get(_named(session, sandbox, process, "get")))


def input_(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    process: Process = "",
    text: Annotated[str | None, typer.Option("--text", help="This text and a newline.")] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="PATH", help="The bytes of a file.")] = None,
    encoded: Annotated[str | None, typer.Option("--base64", metavar="DATA", help="Bytes in base64.")] = None,
) -> None:
    """Write to a process's standard input."""
    session: Session = ctx.obj
    path = _named(session, sandbox, process, "input")
    if sum(one is not None for one in (text, file, encoded)) != 1:
        raise Usage("input needs exactly one of --text, --file and --base64", hint="--text 'yes'")
    session.output.show(send_input(session, path, input_bytes(text, file, encoded)), ["Sent."])


def close_stdin(ctx: typer.Context, sandbox: Sandbox = "", process: Process = "") -> None:
    """Close a process's standard input."""
    session: Session = ctx.obj
    path = _named(session, sandbox, process, "close-stdin")
    session.output.show(session.client.post(f"{path}/stdin/close", {}), ["Closed."])


def resize(ctx: typer.Context, sandbox: Sandbox = "", process: Process = "", rows: Rows = 24, cols: Cols = 80) -> None:
    """Give a process's terminal another size."""
    session: Session = ctx.obj
    path = _named(session, sandbox, process, "resize")
    session.output.show(session.client.post(f"{path}/resize", {"rows": rows, "cols": cols}), ["Resized."])


def signal(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    process: Process = "",
    name: Annotated[str, typer.Argument(metavar="SIGNAL", help="Such as SIGTERM or HUP.")] = "",
) -> None:
    """Send a signal to a process and its group, or to a terminal's foreground job."""
    session: Session = ctx.obj
    path = _named(session, sandbox, process, "signal")
    if not name:
        raise Usage("signal needs the name of a signal", hint="createos sandbox process signal my-box PROCESS SIGHUP")
    full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    session.output.show(session.client.post(f"{path}/signal", {"signal": full}), [f"Sent {full}."])


def wait(
    ctx: typer.Context, sandbox: Sandbox = "", process: Process = "", every: Every = False, timeout: Timeout = ""
) -> int:
    """Wait for the end of a process; the exit code is its own."""
    session: Session = ctx.obj
    path = _named(session, sandbox, process, "wait")
    ended = wait_for_end(session.client, path, "tree" if every else "leader", timeout)
    show(session, ended)
    return exit_code(ended)


def stop(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    process: Process = "",
    grace: Annotated[str, typer.Option("--grace", metavar="DUR", help="How long it may take to end.")] = "1s",
    force: Annotated[bool, typer.Option("--force", "-f", "--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End a process and all that it has started."""
    session: Session = ctx.obj
    path = _named(session, sandbox, process, "stop")
    if session.interactive and not force:
        from createos_cli.prompts import confirm

        confirm(session, f"End {process} and all that it has started?")
    grace_ms = 0 if grace in ("0", "0s") else int(parse_duration(grace) * 1000)
    show(session, session.client.delete(f"{path}?grace_ms={grace_ms}"))


def _start(
    session: Session,
    words: Sequence[str] | None,
    cwd: str,
    env: Sequence[str] | None,
    terminal: JsonObject | None,
    *,
    shell: bool = False,
) -> tuple[str, JsonObject]:
    """Start a process; return the sandbox's id and the process."""
    sandbox, *command = words or [""]
    if not sandbox or not (command or shell):
        raise Usage("a sandbox and a program are needed", hint="createos sandbox process run my-box -- make test")
    box = resolve(session.client, sandbox)
    body: JsonObject = {"cmd": command[0], "args": command[1:]} if command else {}
    optional = {"cwd": cwd, "env": parse_pairs(env or (), "--env"), "pty": terminal}
    body |= {key: value for key, value in optional.items() if value or value == {}}
    if not body.get("env"):
        body.pop("env", None)
    return box, session.client.post(f"/v1/sandboxes/{segment(box)}/processes", body)


def _terminal(wanted: bool, rows: int, cols: int) -> JsonObject | None:
    return {key: value for key, value in (("rows", rows), ("cols", cols)) if value} if wanted else None


def _named(session: Session, sandbox: str, process: str, verb: str) -> str:
    """Return the path of a process; Usage when one of the two words is missing."""
    if not process:
        example = f"createos sandbox process {verb} my-box PROCESS"
        raise Usage(f"{verb} needs a sandbox and a process", hint=f"for example: {example}")
    return _path(resolve(session.client, sandbox), process)


def _path(box: str, process: str) -> str:
    return f"/v1/sandboxes/{segment(box)}/processes/{segment(process)}"
