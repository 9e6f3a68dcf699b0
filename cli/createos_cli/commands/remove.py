"""`rm`: the end of sandboxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from createos_cli.client import JsonObject, segment
from createos_cli.commands.pick import listed, missing
from createos_cli.errors import CliError, NotSignedIn, Unreachable, Usage
from createos_cli.formats import label
from createos_cli.output import Output
from createos_cli.resolve import resolve
from createos_cli.session import Session

EXAMPLES = """\b
Examples:
  createos sandbox rm my-box
  createos sandbox rm my-box other-box --force"""


@dataclass(frozen=True)
class Removal:
    """How it went for one reference; *error* is empty when it went well, the id when none was found."""

    reference: str
    sandbox_id: str = ""
    error: str = ""

    def document(self) -> JsonObject:
        """Return the row of the JSON answer (cli-behaviour 4.8)."""
        found = {"id": self.sandbox_id} if self.sandbox_id else {}
        failed = {"error": self.error} if self.error else {}
        return {"ref": self.reference, **found, "deleted": not self.error, **failed}


def register(group: typer.Typer) -> None:
    """Add the command of this file."""
    group.command("rm|delete|destroy", epilog=EXAMPLES)(rm)


def rm(
    ctx: typer.Context,
    sandboxes: Annotated[list[str] | None, typer.Argument(metavar="SANDBOX", help="Names or ids.")] = None,
    force: Annotated[
        bool, typer.Option("--force", "--yes", "-y", help="Do not ask; required without a terminal.")
    ] = False,
) -> int:
    """Destroy sandboxes with everything in them."""
    session: Session = ctx.obj
    references = sandboxes or _picked(session)
    if not force:
        _ask(session, references)
    removals = [_remove(session, reference) for reference in references]
    _show(session.output, removals)
    return int(any(removal.error for removal in removals))


def _picked(session: Session) -> list[str]:
    if not session.interactive:
        raise missing("rm")
    rows = listed(session, ("running", "paused"))
    from createos_cli.prompts import choose_several

    places = choose_several(session, "Which sandboxes?", [label(row) for row in rows])
    return [str(rows[place]["id"]) for place in places]


def _ask(session: Session, references: Sequence[str]) -> None:
    names = " ".join(references)
    if not session.interactive:
        raise Usage(f"destroying {names} needs --force without a terminal", hint=f"createos sandbox rm {names} --force")
    from createos_cli.prompts import confirm

    confirm(session, f"Destroy {names} with everything in it?")


def _remove(session: Session, reference: str) -> Removal:
    """Remove one; a refusal is kept for the report, so that the others still get their turn."""
    sandbox_id = ""
    try:
        sandbox_id = resolve(session.client, reference)
        session.client.delete(f"/v1/sandboxes/{segment(sandbox_id)}")
    except (NotSignedIn, Unreachable):
        raise
    except CliError as exc:
        return Removal(reference, sandbox_id, exc.message)
    return Removal(reference, sandbox_id)


def _show(output: Output, removals: Sequence[Removal]) -> None:
    if not output.as_json:
        for removal in removals:
            if removal.error:
                output.fail_line(f"{removal.reference}: {removal.error}")
    failed = sum(bool(removal.error) for removal in removals)
    document = {
        "action": "deleted",
        "results": [removal.document() for removal in removals],
        "deleted": len(removals) - failed,
        "failed": failed,
    }
    output.show(document, _prose(removals))


def _prose(removals: Sequence[Removal]) -> Iterator[str]:
    for removal in removals:
        if not removal.error:
            shown = removal.reference
            yield f"Destroyed {shown}" + (f" ({removal.sandbox_id})" if shown != removal.sandbox_id else "")
