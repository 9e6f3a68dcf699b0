"""`self`: what a program inside a sandbox asks for that sandbox (cli-behaviour 9.4, wire-api 17)."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

import typer

from createos_cli.client import failure
from createos_cli.errors import CliError, Unreachable, Usage
from createos_cli.groups import command_group
from createos_cli.profile import Endpoint
from createos_cli.session import Session
from createos_cli.wire import Request

DOOR = Endpoint("http://127.0.0.1:1029", "http", host="127.0.0.1", port=1029)
FIFO = "/run/self"
WORDS = {"pause": "park", "delete": "retire"}
ANSWER_S = 2.0

EXAMPLES = """\b
Examples (inside a sandbox):
  createos self pause --reason "waiting for the night"
  createos self delete --reason done --force"""
PAUSE_EXAMPLES = """\b
Examples (inside a sandbox):
  createos sandbox self pause
  createos sandbox self pause --reason "waiting for the night\""""
DELETE_EXAMPLES = """\b
Examples (inside a sandbox):
  createos sandbox self delete --force
  createos sandbox self delete --reason "the work is done" --force"""

Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; the first 128 characters are kept.")]
Force = Annotated[bool, typer.Option("--force", "--yes", "-y", "-f", help="Do not ask; required without a terminal.")]


def group() -> typer.Typer:
    """Return the group with its commands."""
    made = command_group("Inside a sandbox: pause or delete that sandbox.", EXAMPLES)
    made.command("pause", epilog=PAUSE_EXAMPLES)(pause)
    made.command("delete|destroy|rm", epilog=DELETE_EXAMPLES)(delete)
    return made


def pause(ctx: typer.Context, reason: Reason = "") -> None:
    """Pause the sandbox this runs in."""
    _ask(ctx.obj, "pause", reason)


def delete(ctx: typer.Context, reason: Reason = "", force: Force = False) -> None:
    """Destroy the sandbox this runs in, with everything in it."""
    session: Session = ctx.obj
    if not force:
        if not session.interactive:
            raise Usage("self delete needs --force without a terminal", hint="createos self delete --force")
        from createos_cli.prompts import confirm

        confirm(session, "Destroy this sandbox with everything in it?")
    _ask(session, "delete", reason)


def _ask(session: Session, action: str, reason: str) -> None:
    query = f"?{urlencode({'reason': reason})}" if reason else ""
    request = Request("POST", f"/self/{action}{query}", {"User-Agent": "createos-cli"}, None, ANSWER_S)
    try:
        response = session.around.connect(DOOR)(request)
        body = b"".join(response.pieces)
    except Unreachable:
        _through_fifo(action)
    else:
        if response.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            raise failure(response, _decoded(body))
    document = {"status": "accepted", "action": action, **({"reason": reason} if reason else {})}
    session.output.show(document, [f"Accepted: this sandbox is about to be {action}d."])


def _through_fifo(action: str) -> None:
    """Write the word into the FIFO; one that nobody reads is as good as none."""
    try:
        descriptor = os.open(FIFO, os.O_WRONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "wb") as fifo:
            fifo.write(WORDS[action].encode() + b"\n")
    except OSError as exc:
        raise CliError(
            f"this is no sandbox: nothing answers at {DOOR.text} and {FIFO} cannot be used",
            hint="run it inside a sandbox; from outside: createos sandbox pause or rm",
        ) from exc


def _decoded(body: bytes) -> object:
    import json

    try:
        document: object = json.loads(body)
    except ValueError:
        return None
    return document
