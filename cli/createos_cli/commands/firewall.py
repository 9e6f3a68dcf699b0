"""`firewall`: what a sandbox may reach outside (cli-behaviour 7.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from createos_cli.client import JsonObject, segment
from createos_cli.commands.pick import one_sandbox
from createos_cli.errors import Cancelled, Usage
from createos_cli.formats import TABLE_TIME, local_time
from createos_cli.groups import command_group
from createos_cli.output import Output
from createos_cli.resolve import resolve
from createos_cli.session import Session
from createos_cli.tables import Column, table

SHOWN = 200
GROUP_EXAMPLES = """\b
Examples:
  createos sandbox firewall set my-box example.org '*.debian.org' 203.0.113.0/24:443
  createos sandbox firewall explain my-box example.org:443
  createos sandbox firewall clear my-box"""
SHOW_EXAMPLES = """\b
Examples:
  createos sandbox firewall show my-box"""
SET_EXAMPLES = """\b
Examples:
  createos sandbox firewall set my-box example.org:443 '*.npmjs.org'
  createos sandbox firewall set my-box preset:pypi,preset:debian"""
CLEAR_EXAMPLES = """\b
Examples:
  createos sandbox firewall clear my-box --yes"""
EXPLAIN_EXAMPLES = """\b
Examples:
  createos sandbox firewall explain my-box example.org
  createos sandbox firewall explain my-box 203.0.113.7:443"""
LOG_EXAMPLES = """\b
Examples:
  createos sandbox firewall log my-box"""
_PORT = re.compile(r"(.+):(\d{1,5})")

Sandbox = Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    firewall = command_group("Say what a sandbox may reach outside.", GROUP_EXAMPLES)
    firewall.command("show", epilog=SHOW_EXAMPLES)(show)
    firewall.command("set", epilog=SET_EXAMPLES)(set_)
    firewall.command("clear", epilog=CLEAR_EXAMPLES)(clear)
    firewall.command("explain", epilog=EXPLAIN_EXAMPLES)(explain)
    firewall.command("log", epilog=LOG_EXAMPLES)(log)
    group.add_typer(firewall, name="firewall|fw")


def show(ctx: typer.Context, sandbox: Sandbox = "") -> None:
    """Show the rules; without any, everything outside is allowed."""
    session: Session = ctx.obj
    _show_rules(session, session.client.get(_path(one_sandbox(session, sandbox, "firewall show", status="running"))))


def set_(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    rules: Annotated[
        list[str] | None, typer.Argument(metavar="RULE", help="Host, *.domain, address or network, each with :port.")
    ] = None,
) -> None:
    """Replace the rules.

    Connections that stay allowed go on, the others end at once.
    """
    session: Session = ctx.obj
    wanted = [rule for text in rules or () for rule in re.split(r"[,\s]+", text) if rule]
    if not wanted and not session.interactive:
        raise Usage("set needs a sandbox and at least one rule", hint=SET_EXAMPLES.splitlines()[2].strip())
    chosen = one_sandbox(session, sandbox, "firewall set", status="running")
    found = session.client.put(_path(chosen), {"egress": wanted or _edited(session, chosen)})
    _show_rules(session, found)


def clear(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", "--force", help="Do not ask.")] = False,
) -> None:
    """Remove all rules: everything outside is allowed."""
    session: Session = ctx.obj
    chosen = one_sandbox(session, sandbox, "firewall clear", status="running")
    if session.interactive and not yes:
        from createos_cli.prompts import confirm

        confirm(session, "Allow everything outside?")
    _show_rules(session, session.client.put(_path(chosen), {"egress": []}))


def explain(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    host: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="A name or an address.")] = "",
) -> int:
    """Say what would become of a connection, and why.

    The exit code is 1 when it would be refused.
    """
    session: Session = ctx.obj
    if not host:
        raise Usage("explain needs a sandbox and a host", hint=EXPLAIN_EXAMPLES.splitlines()[2].strip())
    name, port = _split(host)
    chosen = resolve(session.client, sandbox)
    found = session.client.get(f"{_path(chosen)}/explain", host=name, port=port)
    verdict = "allowed" if found.get("allowed") else "refused"
    session.output.show(found, [f"{host} is {verdict}: {found.get('reason')}"])
    return int(verdict == "refused")


def log(ctx: typer.Context, sandbox: Sandbox = "") -> None:
    """List what was refused lately and why, the latest first."""
    session: Session = ctx.obj
    chosen = one_sandbox(session, sandbox, "firewall log", status="running")
    rows = session.client.rows(f"{_path(chosen)}/denials", limit=SHOWN)
    session.output.show(rows, _denials(rows, session.output) if rows else ["Nothing was refused lately."])


def _edited(session: Session, chosen: str) -> list[str]:
    """Ask for the whole list on a terminal; empty leaves it as it is."""
    from createos_cli.prompts import ask

    present = " ".join(map(str, session.client.get(_path(chosen)).get("egress") or [])) or "none"
    words = re.split(r"[,\s]+", ask(session, f"Rules, replacing {present}:"))
    if not any(words):
        raise Cancelled
    return [word for word in words if word]


def _split(host: str) -> tuple[str, int]:
    """Return host and port, 0 for any; an IPv6 address has brackets when a port follows."""
    match = _PORT.fullmatch(host)
    if not match or (":" in match[1] and not match[1].endswith("]")):
        return host.strip("[]"), 0
    return match[1].strip("[]"), int(match[2])


def _show_rules(session: Session, found: JsonObject) -> None:
    rules = [str(rule) for rule in found.get("egress") or []]
    session.output.show({"rules": rules}, _rules(rules))


def _rules(rules: Sequence[str]) -> Iterator[str]:
    if not rules:
        yield "The firewall is open: everything outside is allowed."
        return
    yield f"{len(rules)} rule{'s are' if len(rules) > 1 else ' is'} active; everything else is refused:"
    yield from (f"  • {rule}" for rule in rules)


def _denials(rows: Sequence[JsonObject], output: Output) -> Iterator[str]:
    columns = (Column("Last"), Column("Target"), Column("Port"), Column("Protocol"), Column("Times"), Column("Reason"))
    cells = [
        [
            local_time(row.get("last_at"), TABLE_TIME),
            *(str(row.get(key) or "") for key in ("target", "port", "protocol", "count", "reason")),
        ]
        for row in rows
    ]
    yield from table(columns, cells, output.limit)


def _path(sandbox_id: str) -> str:
    return f"/v1/sandboxes/{segment(sandbox_id)}/egress"
