"""The typer side of `exec`: its help, its usage errors, and the questions on a terminal when words are missing."""

from __future__ import annotations

from typing import Annotated

import typer

from createos_cli.commands.exec import ExecCall, execute
from createos_cli.commands.pick import missing, one_sandbox
from createos_cli.errors import Usage
from createos_cli.session import Session


def exec_(
    ctx: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    stream: Annotated[bool, typer.Option("--stream", "-s", help="Show output as it comes, byte for byte.")] = False,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Override a variable declared at create; repeatable."),
    ] = None,
    stdin: Annotated[str, typer.Option(metavar="FILE", help="Standard input from a file, - for ours.")] = "",
) -> int:
    """Run a program in a sandbox.

    The exit code is the program's. No shell reads the words: for one, run sh -c '...'.
    """
    session: Session = ctx.obj
    sandbox, *command = words or [""]
    if not session.interactive and not sandbox:
        raise missing("exec")
    sandbox = sandbox or one_sandbox(session, "", "exec", status="running")
    return execute(session, ExecCall(sandbox, tuple(command or _ask(session)), tuple(env or ()), stdin, stream))


def _ask(session: Session) -> list[str]:
    if not session.interactive:
        raise Usage("exec needs a program to run", hint="for example: createos sandbox exec my-box -- uname -a")
    from createos_cli.prompts import ask

    return ask(session, "Program and arguments:").split()
