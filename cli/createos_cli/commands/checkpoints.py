"""`checkpoint`: snapshots with a name, and forks of them. An extension: other servers do not know it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from createos_cli.client import JsonObject, segment
from createos_cli.commands.pick import one_sandbox
from createos_cli.errors import Usage
from createos_cli.formats import TABLE_TIME, label, local_time
from createos_cli.groups import command_group
from createos_cli.session import Session
from createos_cli.tables import Column, table
from createos_cli.waiting import wait_for

LOOKED_THROUGH = 500
EXAMPLES = """\b
Examples:
  createos sandbox checkpoint create my-box before-upgrade
  createos sandbox checkpoint tree
  createos sandbox checkpoint fork before-upgrade"""
CREATE_EXAMPLES = """\b
Examples:
  createos sandbox checkpoint create my-box
  createos sandbox checkpoint create my-box before-upgrade"""
LIST_EXAMPLES = """\b
Examples:
  createos sandbox checkpoint ls
  createos sandbox checkpoint ls --output json | jq -r '.[].name'"""
TREE_EXAMPLES = """\b
Examples:
  createos sandbox checkpoint tree"""
FORK_EXAMPLES = """\b
Examples:
  createos sandbox checkpoint fork before-upgrade
  createos sandbox checkpoint fork before-upgrade --paused"""
REMOVE_EXAMPLES = """\b
Examples:
  createos sandbox checkpoint rm before-upgrade --yes"""

Name = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Name or id.")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    checkpoints = command_group("Name the state of a sandbox and go back to it in a fork.", EXAMPLES)
    checkpoints.command("create", epilog=CREATE_EXAMPLES)(create)
    checkpoints.command("ls|list", epilog=LIST_EXAMPLES)(list_)
    checkpoints.command("tree", epilog=TREE_EXAMPLES)(tree)
    checkpoints.command("fork", epilog=FORK_EXAMPLES)(fork)
    checkpoints.command("rm|delete", epilog=REMOVE_EXAMPLES)(rm)
    group.add_typer(checkpoints, name="checkpoint|checkpoints")


def create(
    ctx: typer.Context,
    sandbox: Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")] = "",
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it; one is made when left out.")] = "",
) -> None:
    """Name the state of a paused or running sandbox, which stays as it is."""
    session: Session = ctx.obj
    chosen = one_sandbox(session, sandbox, "checkpoint create")
    path = f"/v1/sandboxes/{segment(chosen)}"
    ran = session.client.get(path).get("status") == "running"
    with session.output.waiting("Making the checkpoint"):
        made = session.client.post(f"{path}/checkpoints", {"name": name} if name else {})
        if ran:
            wait_for(session.client, chosen, "running")
    prose = [f"Created {made.get('name')} ({made.get('id')})"]
    session.output.show({**made, "action": "checkpoint_created"}, prose)


def list_(ctx: typer.Context) -> None:
    """List checkpoints, newest first."""
    session: Session = ctx.obj
    rows = _rows(session)
    columns = [Column("Name"), Column("ID"), Column("Sandbox"), Column("Created")]
    keys = ("name", "id", "sandbox_name")
    cells = [
        [*(str(row.get(key) or "") for key in keys), local_time(row.get("created_at"), TABLE_TIME)] for row in rows
    ]
    session.output.show(rows, table(columns, cells, session.output.limit) if rows else _none())


def tree(ctx: typer.Context) -> None:
    """Show which checkpoint came after which."""
    session: Session = ctx.obj
    rows = _rows(session)
    session.output.show(rows, _branches(rows) if rows else _none())


def fork(
    ctx: typer.Context,
    checkpoint: Name = "",
    paused: Annotated[bool, typer.Option("--paused", help="Leave the clone paused.")] = False,
) -> None:
    """Make a sandbox that goes on from a checkpoint; the server names it."""
    session: Session = ctx.obj
    path = f"/v1/checkpoints/{segment(_required(checkpoint, 'fork'))}/fork"
    with session.output.waiting("Forking"):
        made = session.client.post(path, {"start_paused": True} if paused else {})
        found = wait_for(session.client, str(made["id"]), "paused" if paused else "running")
    prose = [f"Forked {label(found)}: {found.get('status')}"]
    session.output.show({**found, "action": "forked", "checkpoint": checkpoint}, prose)


def rm(
    ctx: typer.Context,
    checkpoint: Name = "",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", "--force", help="Do not ask; required without a terminal.")
    ] = False,
) -> None:
    """Delete a checkpoint; sandboxes that were forked from it stay."""
    session: Session = ctx.obj
    chosen = _required(checkpoint, "rm")
    if not yes:
        _ask(session, chosen)
    gone = session.client.delete(f"/v1/checkpoints/{segment(chosen)}")
    session.output.show({**gone, "action": "checkpoint_deleted"}, [f"Deleted {gone.get('name')}"])


def _rows(session: Session) -> list[JsonObject]:
    return session.client.rows("/v1/checkpoints", limit=LOOKED_THROUGH)


def _none() -> list[str]:
    return ["There are no checkpoints yet.", "Make one: createos sandbox checkpoint create my-box"]


def _required(checkpoint: str, verb: str) -> str:
    if not checkpoint:
        raise Usage(
            f"{verb} needs a checkpoint: its name or id",
            hint="createos sandbox checkpoint ls shows them",
        )
    return checkpoint


def _ask(session: Session, name: str) -> None:
    if not session.interactive:
        raise Usage(
            f"deleting {name} needs --yes without a terminal", hint=f"createos sandbox checkpoint rm {name} --yes"
        )
    from createos_cli.prompts import confirm

    confirm(session, f"Delete the checkpoint {name}?")


def _branches(rows: Sequence[JsonObject]) -> Iterator[str]:
    """Draw every checkpoint below the one before it, the oldest first."""
    known = {row.get("id") for row in rows}
    oldest_first = sorted(rows, key=lambda row: str(row.get("created_at")))
    pending = [(row, 0) for row in reversed(oldest_first) if row.get("parent") not in known]
    while pending:
        row, depth = pending.pop()
        when = local_time(row.get("created_at"), TABLE_TIME)
        yield f"{'   ' * (depth - 1) + '└─ ' if depth else ''}{row.get('name')}  ({row.get('sandbox_name')}, {when})"
        below = [each for each in oldest_first if each.get("parent") == row.get("id")]
        pending += [(each, depth + 1) for each in reversed(below)]
