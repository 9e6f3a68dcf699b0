"""The disks there are, and the one that is meant."""

from __future__ import annotations

from createos_cli.client import JsonObject
from createos_cli.errors import Cancelled, Usage
from createos_cli.resolve import LOOKED_THROUGH
from createos_cli.session import Session


def disk_rows(session: Session) -> list[JsonObject]:
    """Return the caller's disks."""
    return session.client.rows("/v1/disks", limit=LOOKED_THROUGH)


def picked_disk(session: Session, verb: str, *, more: str = "") -> str:
    """Return the name of a disk that is chosen on a terminal; else raise Usage, whose example ends with *more*."""
    if not session.interactive:
        hint = f"for example: createos sandbox disk {verb} data{more}"
        raise Usage(f"{verb} needs a disk: its name or id", hint=hint)
    rows = disk_rows(session)
    if not rows:
        session.output.remark("There are no disks.")
        raise Cancelled
    from createos_cli.prompts import choose

    return str(rows[choose(session, "Which disk?", [str(row.get("name")) for row in rows])]["name"])
