"""`list` and `get`: looking at sandboxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from createos_cli.client import Client, JsonObject, segment
from createos_cli.commands.pick import one_sandbox
from createos_cli.durations import short_duration
from createos_cli.errors import CliError
from createos_cli.formats import TABLE_TIME, instant, label, local_time, size
from createos_cli.output import Output
from createos_cli.session import Session
from createos_cli.tables import Column, table

ACTIVE = ("running", "paused", "pausing", "resuming", "forking")
STATUS_STYLES = {"running": "green", "paused": "yellow", "failed": "red", "error": "red", "destroyed": "grey"}
WIDE, MIDDLE = 90, 70
NEARLY_USED_UP = 0.1

LIST_EXAMPLES = """\b
Examples:
  createos sandbox list --all
  createos sandbox list --status running --quiet
  createos sandbox list --output json | jq '.[].id'"""
GET_EXAMPLES = """\b
Examples:
  createos sandbox get my-box
  createos sandbox get my-box --output json | jq -r .ip"""


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    group.command("list|ls", epilog=LIST_EXAMPLES)(list_)
    group.command("get", epilog=GET_EXAMPLES)(get)


def list_(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", "-a", help="Every status, destroyed ones too.")] = False,
    status: Annotated[str, typer.Option(help="Only this status.", metavar="STATUS")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only ids, one per line, in any format.")] = False,
    limit: Annotated[int, typer.Option(help="How many rows of a status.", min=1)] = 50,
    offset: Annotated[int, typer.Option(help="How many rows to skip.", min=0)] = 0,
    wide: Annotated[bool, typer.Option("--wide", help="Show when each was created.")] = False,
) -> None:
    """List sandboxes, newest first."""
    session: Session = ctx.obj
    statuses = (status,) if status else (None,) if every else ACTIVE
    rows = _rows(session.client, statuses, limit, offset)
    if quiet:
        session.output.lines(str(row.get("id", "")) for row in rows)
        return
    prose = _sandbox_table(rows, session.output, wide=wide) if rows else _nothing(status, every=every)
    session.output.show(rows, prose)


def get(
    ctx: typer.Context, sandbox: Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")] = ""
) -> None:
    """Show one sandbox."""
    session: Session = ctx.obj
    found = session.client.get(f"/v1/sandboxes/{segment(one_sandbox(session, sandbox, 'get'))}")
    bandwidth = _bandwidth(session.client, found)
    session.output.show(
        {**found, **({"bandwidth": bandwidth} if bandwidth else {})}, _details(found, bandwidth, session.output)
    )


def _rows(client: Client, statuses: Sequence[str | None], limit: int, offset: int) -> list[JsonObject]:
    """Ask once for every status: filtering one page here would lose rows behind it."""
    rows: list[JsonObject] = []
    for status in statuses:
        query: dict[str, object] = {"limit": limit, "offset": offset}
        rows += client.rows("/v1/sandboxes", **query, **({"status": status} if status else {}))
    return sorted(rows, key=lambda row: instant(row.get("created_at")), reverse=True)


def _sandbox_table(rows: Sequence[JsonObject], output: Output, *, wide: bool) -> Iterator[str]:
    status = Column("Status", lambda cell: output.paint(cell, STATUS_STYLES.get(cell.strip(), "")))
    columns = {
        "id": Column("ID"),
        "name": Column("Name"),
        "status": status,
        "shape": Column("Size"),
        "ip": Column("IP"),
    }
    keys = [key for key in columns if _fits(key, output.columns)]
    cells = [[str(row.get(key) or "") for key in keys] for row in rows]
    headings = [columns[key] for key in keys]
    if wide:
        headings.append(Column("Created"))
        cells = [[*line, local_time(row.get("created_at"), TABLE_TIME)] for line, row in zip(cells, rows, strict=True)]
    yield from table(headings, cells, output.limit)


def _fits(key: str, columns: int) -> bool:
    least = {"ip": WIDE, "id": MIDDLE}
    return columns >= least.get(key, 0)


def _nothing(status: str, *, every: bool) -> Iterator[str]:
    if status:
        yield f"No sandbox has the status {status}."
    else:
        yield "There are no sandboxes yet." if every else "There are no active sandboxes."
    yield "Create one: createos sandbox create --shape s-1vcpu-256mb --name my-box"


def _bandwidth(client: Client, sandbox: JsonObject) -> JsonObject:
    """Ask for the traffic of a sandbox that may have some; a server without that route is no failure."""
    if sandbox.get("status") not in ("running", "paused"):
        return {}
    try:
        return client.get(f"/v1/sandboxes/{segment(str(sandbox.get('id', '')))}/bandwidth")
    except CliError:
        return {}


_RENEWED = {
    "hostname": "Host name",
    "machine_id": "Machine id",
    "mac": "MAC",
    "addresses": "Addresses",
    "ssh_host_keys": "SSH host keys",
    "randomness": "Randomness",
    "clock": "Clock",
}


def _details(sandbox: JsonObject, bandwidth: JsonObject, output: Output) -> Iterator[str]:
    text = {key: "" if value is None else str(value) for key, value in sandbox.items()}
    on = "on" if sandbox.get("ingress_enabled") else "off"
    auto_pause = sandbox.get("auto_pause_after_seconds")
    rows = [
        ("Status", text.get("status", "")),
        ("Reason", text.get("reason", "")),
        ("Size", text.get("shape", "")),
        ("Image", text.get("rootfs", "")),
        ("VCPU", text.get("vcpu", "")),
        ("RAM", _mb(text.get("mem_mib"))),
        ("Disk", _mb(text.get("disk_mib"))),
        ("IP", text.get("ip", "")),
        ("Region", text.get("region", "")),
        ("Public URL", text.get("ingress_url_template") or on),
        ("Firewall", ", ".join(sandbox.get("egress") or []) or "open"),
        ("Bandwidth", _traffic(bandwidth)),
        ("Env keys", ", ".join(sandbox.get("envs") or [])),
        ("Auto-pause", f"after {short_duration(int(auto_pause))} idle" if auto_pause else ""),
        ("Created", local_time(sandbox.get("created_at"))),
        ("Running since", local_time(sandbox.get("running_at"))),
        ("Paused at", local_time(sandbox.get("paused_at"))),
        ("Last resumed", local_time(sandbox.get("last_resumed_at"))),
        ("Destroyed at", local_time(sandbox.get("destroyed_at"))),
        ("Forked from", text.get("forked_from", "")),
    ]
    yield output.paint(label(sandbox), "bold")
    yield from output.facts(rows, {"Status": STATUS_STYLES.get(text.get("status", ""), "")})
    if isinstance(receipt := sandbox.get("fork_receipt"), dict):
        yield from _receipt(receipt, output)


def _receipt(receipt: JsonObject, output: Output) -> Iterator[str]:
    """Show what the agent of a fork has made its own, and when it said so."""
    yield f"Renewed in this fork, as its agent confirmed at {local_time(receipt.get('confirmed_at'))}:"
    yield from output.facts([(title, str(receipt.get(key) or "")) for key, title in _RENEWED.items()])


def _mb(count: str | None) -> str:
    return f"{count} MB" if count else ""


def _traffic(bandwidth: JsonObject) -> str:
    used, quota = bandwidth.get("used_bytes"), bandwidth.get("quota_bytes")
    if not isinstance(used, int | float) or not isinstance(quota, int | float):
        return ""
    if quota < 0:
        return f"{size(used)} used, no quota"
    remark = " (capped)" if bandwidth.get("capped") else ""
    if not remark and quota - used < quota * NEARLY_USED_UP:
        remark = " (nearly used up)"
    return f"{size(used)} of {size(quota)}{remark}"
