"""Which sandbox a command is about: the one that was named, or one picked on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from createos_cli.client import JsonObject
from createos_cli.errors import Cancelled, Usage
from createos_cli.formats import label
from createos_cli.resolve import LOOKED_THROUGH, resolve
from createos_cli.session import Session


def one_sandbox(session: Session, reference: str, verb: str, *, status: str = "") -> str:
    """Return the id meant by *reference*; without one ask on a terminal, else raise Usage with an example."""
    if reference:
        return resolve(session.client, reference)
    if not session.interactive:
        raise missing(verb)
    rows = listed(session, (status,))
    from createos_cli.prompts import choose

    return str(rows[choose(session, "Which sandbox?", [label(row) for row in rows])]["id"])


def listed(session: Session, statuses: Sequence[str]) -> list[JsonObject]:
    """Return the sandboxes to choose from; say that there are none and raise Cancelled when so."""
    rows: list[JsonObject] = []
    for status in statuses:
        rows += session.client.rows("/v1/sandboxes", limit=LOOKED_THROUGH, **({"status": status} if status else {}))
    if not rows:
        session.output.remark(f"There are no {' or '.join(filter(None, statuses))} sandboxes.".replace("  ", " "))
        raise Cancelled
    return rows


def missing(verb: str) -> Usage:
    """Return the error for a command that was not told which sandbox."""
    example = f"createos sandbox {verb} my-box" + {"exec": " -- uname -a", "rm": " --force"}.get(verb, "")
    return Usage(f"{verb} needs a sandbox: its name or id", hint=f"for example: {example}")
