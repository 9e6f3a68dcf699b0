"""`edit`: change a sandbox that exists, by flags or in a menu (cli-behaviour 4.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from createos_cli.client import JsonObject, segment
from createos_cli.commands.edit_menu import Change, add_keys, edit_in_menu, set_auto_pause, set_ingress
from createos_cli.commands.pick import missing, one_sandbox
from createos_cli.durations import parse_auto_pause
from createos_cli.errors import Usage
from createos_cli.formats import label
from createos_cli.session import Session
from createos_cli.ssh_keys import read_public_key

ON, OFF = ("on", "true", "yes", "enable"), ("off", "false", "no", "disable")

EXAMPLES = """\b
Examples:
  createos sandbox edit my-box
  createos sandbox edit my-box --ingress on --auto-pause 30m
  createos sandbox edit my-box --auto-pause off
  createos sandbox edit my-box --add-ssh-key ~/.ssh/id_ed25519.pub"""


def register(group: typer.Typer) -> None:
    """Add the command of this file."""
    group.command("edit", epilog=EXAMPLES)(edit)


def edit(
    ctx: typer.Context,
    sandbox: Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")] = "",
    ingress: Annotated[str, typer.Option(metavar="on|off", help="Give it a public URL, or take it away.")] = "",
    add_ssh_key: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Public key file to add; repeatable.")
    ] = None,
    auto_pause: Annotated[str, typer.Option(metavar="DURATION|off", help="Pause when idle for 60s to 24h.")] = "",
) -> None:
    """Change a sandbox's public URL, auto-pause or SSH keys."""
    session: Session = ctx.obj
    public = None if not ingress else _parse_switch(ingress)
    pause_s = None if not auto_pause else _parse_pause(auto_pause)
    keys = [read_public_key(path, "--add-ssh-key") for path in add_ssh_key or ()]
    if public is None and pause_s is None and not keys:
        _in_menu(session, sandbox)
        return
    place = f"/v1/sandboxes/{segment(one_sandbox(session, sandbox, 'edit', status='running'))}"
    changes: list[Change] = []
    if public is not None:
        changes.append(set_ingress(session.client, place, on=public))
    if pause_s is not None:
        changes.append(set_auto_pause(session.client, place, pause_s))
    if keys:
        changes.append(add_keys(session.client, place, keys))
    after = session.client.get(place)
    session.output.show(_document(after, changes), _prose(after, changes))


def _in_menu(session: Session, sandbox: str) -> None:
    if not session.interactive:
        if not sandbox:
            raise missing("edit")
        raise Usage(
            "nothing to do: edit needs --ingress, --auto-pause or --add-ssh-key without a terminal",
            hint="for example: createos sandbox edit my-box --auto-pause 30m",
        )
    edit_in_menu(session, one_sandbox(session, sandbox, "edit", status="running"))


def _parse_switch(text: str) -> bool:
    if text.lower() not in (*ON, *OFF):
        raise Usage(f"--ingress {text} is neither on nor off", hint=f"write one of {', '.join((*ON, *OFF))}")
    return text.lower() in ON


def _parse_pause(text: str) -> int:
    """Return seconds, 0 for never."""
    return 0 if text.lower() in OFF else parse_auto_pause(text)


def _document(sandbox: JsonObject, changes: list[Change]) -> JsonObject:
    """Return the sandbox and the keys of variant B; several changes are one document (cli-behaviour 1)."""
    action = changes[0].document["action"] if len(changes) == 1 else "edited"
    extra = {key: value for change in changes for key, value in change.document.items()}
    return {**sandbox, **extra, "action": action}


def _prose(sandbox: JsonObject, changes: list[Change]) -> Iterator[str]:
    yield f"Changed {label(sandbox)}"
    for change in changes:
        yield f"  {change.sentence}"
