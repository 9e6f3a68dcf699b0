"""`network`: private networks between sandboxes (cli-behaviour 7.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from createos_cli.client import Client, JsonObject, segment
from createos_cli.commands import memberships
from createos_cli.errors import Cancelled, CliError, NotSignedIn, Unreachable, Usage
from createos_cli.formats import TABLE_TIME, local_time
from createos_cli.groups import command_group
from createos_cli.output import Output
from createos_cli.session import Session
from createos_cli.tables import Column, table

LOOKED_THROUGH = 200
GROUP_EXAMPLES = """\b
Examples:
  createos sandbox network create backend
  createos sandbox network attach my-box backend
  createos sandbox network show backend"""
CREATE_EXAMPLES = """\b
Examples:
  createos sandbox network create backend
  createos sandbox create --shape s-1vcpu-256mb --network backend"""
LIST_EXAMPLES = """\b
Examples:
  createos sandbox network ls
  createos sandbox network ls --output json | jq -r '.[].name'"""
SHOW_EXAMPLES = """\b
Examples:
  createos sandbox network show backend
  createos sandbox network show backend --output json | jq -r '.members[].ip'"""
REMOVE_EXAMPLES = """\b
Examples:
  createos sandbox network rm backend
  createos sandbox network rm backend frontend --yes"""

Force = Annotated[bool, typer.Option("--yes", "-y", "--force", help="Do not ask; required without a terminal.")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    networks = command_group("Let sandboxes reach each other, and nobody else.", GROUP_EXAMPLES)
    networks.command("create", epilog=CREATE_EXAMPLES)(create)
    networks.command("ls|list", epilog=LIST_EXAMPLES)(list_)
    networks.command("show|get", epilog=SHOW_EXAMPLES)(show)
    networks.command("rm|delete", epilog=REMOVE_EXAMPLES)(rm)
    memberships.register(networks)
    group.add_typer(networks, name="network|net|networks")


def create(
    ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")] = ""
) -> None:
    """Create a private network."""
    session: Session = ctx.obj
    made = session.client.post("/v1/networks", {"name": name or _asked_name(session)})
    shown = str(made.get("name"))
    prose = [
        session.output.paint("Created.", "green") + f" Network {shown} ({made.get('id')})",
        f"Put a sandbox on it:  createos sandbox network attach my-box {shown}",
        f"Or begin with it:     createos sandbox create --network {shown} --shape s-1vcpu-256mb",
    ]
    session.output.show({**made, "action": "network_created"}, prose)


def list_(ctx: typer.Context) -> None:
    """List private networks, newest first."""
    session: Session = ctx.obj
    rows = network_rows(session.client)
    empty = ["There are no networks yet.", "Make one: createos sandbox network create backend"]
    session.output.show(rows, _table(rows, session.output) if rows else empty)


def show(
    ctx: typer.Context, network: Annotated[str, typer.Argument(metavar="NETWORK", help="Name or id.")] = ""
) -> None:
    """Show one network and who is on it."""
    session: Session = ctx.obj
    chosen = network or _picked(session, "show")
    found = session.client.get(f"/v1/networks/{segment(chosen)}")
    session.output.show(found, _details(found, session.output))


def rm(
    ctx: typer.Context,
    networks: Annotated[list[str] | None, typer.Argument(metavar="NETWORK", help="Names or ids.")] = None,
    yes: Force = False,
) -> int:
    """Take every sandbox off networks and delete them."""
    session: Session = ctx.obj
    references = networks or [_picked(session, "rm")]
    if not yes:
        _ask(session, references)
    results = [_remove(session, reference) for reference in references]
    failed = sum("error" in result for result in results)
    document = {"action": "network_deleted", "results": results, "deleted": len(results) - failed, "failed": failed}
    session.output.show(document, [f"Deleted {result['ref']}" for result in results if "error" not in result])
    if failed and not session.output.as_json:
        session.output.fail_line(f"{failed} of {len(results)} failed")
    return int(failed > 0)


def network_rows(client: Client) -> list[JsonObject]:
    """Return the caller's networks."""
    return client.rows("/v1/networks", limit=LOOKED_THROUGH)


def _asked_name(session: Session) -> str:
    if not session.interactive:
        raise Usage("create needs a name", hint="for example: createos sandbox network create backend")
    from createos_cli.prompts import ask

    return ask(session, "What shall the network be called?")


def _picked(session: Session, verb: str) -> str:
    if not session.interactive:
        example = f"createos sandbox network {verb} backend" + (" --yes" if verb == "rm" else "")
        raise Usage(f"{verb} needs a network: its name or id", hint=f"for example: {example}")
    rows = network_rows(session.client)
    if not rows:
        session.output.remark("There are no networks.")
        raise Cancelled
    from createos_cli.prompts import choose

    return str(rows[choose(session, "Which network?", [str(row.get("name")) for row in rows])]["id"])


def _ask(session: Session, references: Sequence[str]) -> None:
    names = " ".join(references)
    if not session.interactive:
        hint = f"createos sandbox network rm {names} --yes"
        raise Usage(f"deleting {names} needs --yes without a terminal", hint=hint)
    from createos_cli.prompts import confirm

    confirm(session, f"Take every sandbox off {names} and delete it?")


def _remove(session: Session, reference: str) -> JsonObject:
    """Remove one; a refusal is kept for the report, so that the others still get their turn."""
    path = f"/v1/networks/{segment(reference)}"
    try:
        found = session.client.get(path)
        for member in found.get("members") or ():
            identity = str(member["sandbox_id"])
            session.client.delete(f"/v1/sandboxes/{segment(identity)}/networks/{segment(str(found['id']))}")
            session.output.remark(f"Detached {member.get('name') or identity} from {found['name']}")
        session.client.delete(path)
    except (NotSignedIn, Unreachable):
        raise
    except CliError as exc:
        if not session.output.as_json:
            session.output.fail_line(f"{reference}: {exc.message}")
        return {"ref": reference, "deleted": False, "error": exc.message}
    return {"ref": reference, "id": found["id"], "deleted": True}


def _table(rows: Sequence[JsonObject], output: Output) -> list[str]:
    columns = [Column("Name"), Column("ID"), Column("Sandboxes"), Column("Created")]
    cells = [
        [
            str(row.get("name") or ""),
            str(row.get("id") or ""),
            str(row.get("member_count", 0)),
            local_time(row.get("created_at"), TABLE_TIME),
        ]
        for row in rows
    ]
    return list(table(columns, cells, output.limit))


def _details(found: JsonObject, output: Output) -> Iterator[str]:
    members = found.get("members") or []
    yield output.paint(f"{found.get('name')} ({found.get('id')})", "bold")
    yield from output.facts([("Created", local_time(found.get("created_at"))), ("Sandboxes", str(len(members)))])
    if not members:
        return
    columns = [Column(title) for title in ("Sandbox", "Name", "Status", "IP", "Reachable as")]
    cells = [[*(str(member.get(key) or "") for key in _KEYS), _reachable(member, found)] for member in members]
    yield from table(columns, cells, output.limit)
    yield "The plain names work too, from one member to another."


_KEYS = ("sandbox_id", "name", "status", "ip")


def _reachable(member: JsonObject, network: JsonObject) -> str:
    name = member.get("name")
    return f"{name}.{network.get('name')}.fc.local" if name else f"{member.get('sandbox_id')}.fc.local"
