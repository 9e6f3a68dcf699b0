"""`shell`: the default user's shell on this terminal, or through SSH (cli-behaviour 5.2)."""

from __future__ import annotations

from typing import Annotated

import typer

from createos_cli.client import segment
from createos_cli.commands.pick import one_sandbox
from createos_cli.errors import CliError, Usage
from createos_cli.session import Session

EXAMPLES = """\b
Examples:
  createos sandbox shell my-box
  createos sandbox shell my-box --ssh
  createos sandbox shell my-box -i ~/.ssh/id_ed25519"""


def register(group: typer.Typer) -> None:
    """Add the command of this file."""
    group.command("shell|sh", epilog=EXAMPLES)(shell)


def shell(
    ctx: typer.Context,
    sandbox: Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")] = "",
    ssh: Annotated[bool, typer.Option("--ssh", help="Use the SSH client and one of your keys.")] = False,
    identity: Annotated[str, typer.Option("--identity", "-i", metavar="PATH", help="Private key; implies --ssh.")] = "",
    user: Annotated[str, typer.Option("--user", "-u", help="User in the sandbox; --ssh only.")] = "root",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Let the key into the sandbox without asking.")] = False,
) -> int:
    """Open a shell in a sandbox."""
    session: Session = ctx.obj
    if ssh or identity:
        from createos_cli.ssh import run_ssh

        chosen = one_sandbox(session, sandbox, "shell", status="running")
        return run_ssh(session, chosen, identity=identity, user=user, consent=yes)
    if not session.around.stdin_is_terminal:
        raise Usage(
            "shell needs a terminal as standard input", hint="run a program instead: createos sandbox exec my-box -- ls"
        )
    chosen = one_sandbox(session, sandbox, "shell", status="running")
    _attach(session, f"/v1/sandboxes/{segment(chosen)}/shell")
    return 0


def _attach(session: Session, path: str) -> None:
    upgraded = session.client.upgrade(path)
    from createos_cli.terminal import attach, raw, tidy

    stdin, stdout = session.around.stdin.fileno(), session.around.stdout.fileno()
    try:
        with upgraded.socket, raw(stdin):
            attach(upgraded.socket, upgraded.first, stdin, stdout)
    except OSError as exc:
        tidy(stdout)
        raise CliError(f"the shell was cut off: {exc.strerror or exc}", hint="open it again") from exc
