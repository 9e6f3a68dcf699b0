"""The tree of commands. Imported only when typer is needed: not for `--version`, not for a plain `exec`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import typer
import typer.main

from createos_cli.commands import (
    accounts,
    catalog,
    checkpoints,
    completion,
    create,
    disks,
    edit,
    exec,
    files,
    firewall,
    networks,
    processes,
    remove,
    sandboxes,
    self,
    shell,
    snapshots,
    sync,
    templates,
    trust,
    tunnel,
    urls,
)
from createos_cli.errors import Cancelled, CliError, Usage
from createos_cli.groups import RootGroup, command_group
from createos_cli.session import Session

PROGRAM = "createos"
# In the order in which the help lists them.
_SANDBOX_COMMANDS = (
    *(create, sandboxes, edit, snapshots, checkpoints, remove, exec, shell, processes, files, sync, tunnel),
    *(catalog, templates, networks, disks, firewall, urls),
)
EXAMPLES = """\b
Examples:
  createos sandbox create
  createos sandbox shapes
  createos sandbox create --help"""
SANDBOX_EXAMPLES = """\b
Examples:
  createos sandbox create --shape s-1vcpu-256mb --name my-box
  createos sandbox exec my-box -- uname -a
  createos sandbox list
  createos sandbox rm my-box --force"""


def build() -> typer.Typer:
    """Return the program with all its commands."""
    app = command_group("Run Linux virtual machines as sandboxes on this host.", EXAMPLES, RootGroup)
    sandbox = command_group("Create sandboxes, run programs in them, remove them.", SANDBOX_EXAMPLES)
    for module in _SANDBOX_COMMANDS:
        module.register(sandbox)
    for group in (sandbox, app):
        group.add_typer(self.group(), name="self")
    accounts.register(app)
    trust.register(app)
    completion.register(app)
    app.add_typer(sandbox, name="sandbox|sb")
    return app


_EXTRA = re.compile(r"unexpected extra argument\S* \((.+)\)$")


def invoke(session: Session, words: Sequence[str]) -> int:
    """Run one command and return its exit code; typer's own errors become ours, none exits with 2.

    Typer prints one thing by itself, the help. It is caught, so that everything leaves through the session's output.
    """
    command = typer.main.get_command(build())
    help_text = StringIO()
    try:
        with redirect_stdout(help_text):
            code = command.main(list(words), prog_name=PROGRAM, standalone_mode=False, obj=session)
    except typer.TyperException as exc:
        raise _translated(exc) from exc
    except typer.Abort as exc:
        raise Cancelled from exc
    session.output.write(help_text.getvalue().encode())
    return code if isinstance(code, int) else 0


def _translated(exc: typer.TyperException) -> CliError:
    context: Any = getattr(exc, "ctx", None)
    message = exc.format_message().rstrip(".")
    hint = f"see {context.command_path} --help" if context else ""
    if context and (extra := _EXTRA.search(message)):
        message = f"{context.command_path} takes no further argument: {extra[1]}"
        if any("--name" in parameter.opts for parameter in context.command.params):
            hint = f"a name is given with --name; {hint}"
    return Usage(message[:1].lower() + message[1:], hint=hint)
