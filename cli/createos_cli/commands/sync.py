"""`sync`: keep a local directory and one in a sandbox the same until interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from createos_cli.commands.pick import one_sandbox
from createos_cli.errors import Usage
from createos_cli.prompts import ask

if TYPE_CHECKING:
    from createos_cli.session import Session

EXAMPLES = """\b
Examples:
  createos sandbox sync my-box --local ./project --remote /root/project
  createos sandbox sync my-box --local . --remote /root/app --exclude node_modules --exclude '*.o'
  createos sandbox sync my-box --local ./site --remote /srv/site --mode mirror --once
Ctrl-C stops it; started again it goes on where it was. Conflicts keep both copies."""
REMOTE_DEFAULT = "/root/sync"
ENGINES = ("auto", "builtin", "mutagen")

Local = Annotated[str, typer.Option("--local", metavar="DIR", help="Directory here, below your home or /tmp.")]
Remote = Annotated[str, typer.Option("--remote", metavar="DIR", help="Absolute directory in the sandbox.")]
Identity = Annotated[
    str, typer.Option("--identity", "-i", metavar="KEY", help="SSH private key; only Mutagen needs one.")
]
User = Annotated[str, typer.Option("--user", "-u", metavar="NAME", help="Who owns new files in the sandbox.")]
SshdWait = Annotated[str, typer.Option("--sshd-wait", metavar="DURATION", help="How long to wait for SSH (Mutagen).")]
Force = Annotated[bool, typer.Option("--force", help="Allow a directory that may hold keys, such as ~/.config.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Install the SSH key without asking (Mutagen).")]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="GLOB", help="Leave out, as in .gitignore; repeatable.")
]
ModeWord = Annotated[
    str,
    typer.Option(
        "--mode",
        metavar="MODE",
        help="two-way; one-way: local wins, extra files there stay; mirror: extra files there are removed.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only problems and errors.")]
NoIgnoreVcs = Annotated[bool, typer.Option("--no-ignore-vcs", help="Include .git and the like.")]
Once = Annotated[bool, typer.Option("--once", help="Bring both sides together, then leave; 1 if that is not possible.")]
MassDelete = Annotated[
    bool, typer.Option("--allow-mass-delete", help="Go on although most files of one side are gone.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget what was agreed before: nothing is removed.")]
Engine = Annotated[str, typer.Option("--engine", metavar="NAME", help="auto, builtin or mutagen.")]


def register(group: typer.Typer) -> None:
    """Add the command of this file."""
    group.command("sync", epilog=EXAMPLES)(sync)


def sync(
    ctx: typer.Context,
    sandbox: Annotated[str, typer.Argument(metavar="[SANDBOX]")] = "",
    local: Local = "",
    remote: Remote = "",
    identity: Identity = "",
    user: User = "root",
    sshd_wait: SshdWait = "5s",
    force: Force = False,
    yes: Yes = False,
    exclude: Exclude = None,
    mode: ModeWord = "two-way",
    quiet: Quiet = False,
    no_ignore_vcs: NoIgnoreVcs = False,
    once: Once = False,
    allow_mass_delete: MassDelete = False,
    fresh: Fresh = False,
    engine: Engine = "auto",
) -> int:
    """Keep a local directory and one in a sandbox the same.

    Both ways, until interrupted.
    """
    from createos_cli.sync.options import Request
    from createos_cli.sync.start import begin

    session: Session = ctx.obj
    request = Request(
        local=local or _ask(session, "--local", "Which directory here?", str(Path.cwd())),
        remote=remote or _ask(session, "--remote", "Which directory in the sandbox?", REMOTE_DEFAULT),
        mode=mode,
        exclude=tuple(exclude or ()),
        vcs=no_ignore_vcs,
        user=user,
        identity=identity,
        sshd_wait=sshd_wait,
        force=force,
        yes=yes,
        quiet=quiet,
        once=once,
        allow_mass_delete=allow_mass_delete,
        fresh=fresh,
        engine=engine,
    )
    return begin(session, request, lambda: one_sandbox(session, sandbox, "sync", status="running"))


def _ask(session: Session, flag: str, question: str, default: str) -> str:
    """Ask on a terminal; elsewhere a missing directory is an error with an example."""
    if session.interactive:
        return ask(session, question, default=default)
    example = "createos sandbox sync my-box --local ./project --remote /root/project"
    raise Usage(f"sync needs {flag}", hint=f"for example: {example}")
