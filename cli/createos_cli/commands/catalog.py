"""`shapes` and `rootfs`: what a sandbox can be made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import typer

from createos_cli.client import JsonObject
from createos_cli.output import Output
from createos_cli.session import Session
from createos_cli.tables import Column, table

ALL_ROWS = 500
SHAPE_COLUMNS = (Column("ID"), Column("vCPU"), Column("RAM"), Column("Default disk"))
IMAGE_COLUMNS = (Column("Name"), Column("Description"), Column("Status"))

SHAPES_EXAMPLES = """\b
Examples:
  createos sandbox shapes
  createos sandbox shapes --output json | jq -r '.[].id'"""
ROOTFS_EXAMPLES = """\b
Examples:
  createos sandbox rootfs
  createos sandbox rootfs --output json | jq -r .default"""


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    group.command("shapes", epilog=SHAPES_EXAMPLES)(shapes)
    group.command("rootfs|images", epilog=ROOTFS_EXAMPLES)(rootfs)


def shapes(ctx: typer.Context) -> None:
    """List the sizes a sandbox can have."""
    session: Session = ctx.obj
    rows = session.client.rows("/v1/shapes", limit=ALL_ROWS)
    session.output.show(rows, shape_table(rows, session.output))


def rootfs(ctx: typer.Context) -> None:
    """List the images a sandbox can start from."""
    session: Session = ctx.obj
    catalog = session.client.get("/v1/rootfs")
    session.output.show(catalog, _image_table(catalog, session.output))


def shape_table(rows: Sequence[JsonObject], output: Output) -> Iterator[str]:
    """Describe shapes, one line each under a header."""
    cells = [
        [str(row.get("id", "")), str(row.get("vcpu", "")), _mib(row, "mem_mib"), _mib(row, "default_disk_mib")]
        for row in rows
    ]
    yield from table(SHAPE_COLUMNS, cells, output.limit)


def _image_table(catalog: JsonObject, output: Output) -> Iterator[str]:
    default = catalog.get("default")
    entries = catalog.get("entries")
    if entries:
        cells = [[entry.get("name", ""), entry.get("description", ""), _status(entry, default)] for entry in entries]
        yield from table(IMAGE_COLUMNS, cells, output.limit)
        return
    names = [[str(name), "yes" if name == default else ""] for name in catalog.get("rootfs") or []]
    yield from table((Column("Name"), Column("Default")), names, output.limit)


def _status(entry: JsonObject, default: object) -> str:
    if entry.get("deprecated"):
        successor = entry.get("successor")
        return f"deprecated → {successor}" if successor else "deprecated"
    return "default" if entry.get("name") == default else ""


def _mib(row: JsonObject, key: str) -> str:
    return f"{row[key]} MB" if key in row else ""
