"""`network attach` and `detach`: a sandbox and a network, in either order (cli-behaviour 7.1)."""

from __future__ import annotations

from typing import Annotated

import typer

from createos_cli.client import JsonObject, segment
from createos_cli.commands.pick import one_sandbox
from createos_cli.errors import Ambiguous, Cancelled, NoMatch, Usage
from createos_cli.resolve import LOOKED_THROUGH, match, resolve
from createos_cli.session import Session

SANDBOX_BEGINNINGS, DEVICE_BEGINNINGS = ("sb-", "sb_"), ("dev-", "dev_")
ATTACH_EXAMPLES = """\b
Examples:
  createos sandbox network attach my-box backend
  createos sandbox network attach backend my-box"""
DETACH_EXAMPLES = """\b
Examples:
  createos sandbox network detach my-box backend
  createos sandbox network detach my-box backend --yes"""

First = Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")]
Second = Annotated[str, typer.Argument(metavar="NETWORK", help="Name or id; the two may be swapped.")]
Force = Annotated[bool, typer.Option("--yes", "-y", "--force", help="Do not ask; required without a terminal.")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    group.command("attach", epilog=ATTACH_EXAMPLES)(attach)
    group.command("detach", epilog=DETACH_EXAMPLES)(detach)


def attach(ctx: typer.Context, sandbox: First = "", network: Second = "") -> None:
    """Put a running sandbox on a network."""
    session: Session = ctx.obj
    endpoint, chosen = _pair(session, sandbox, network, "attach")
    session.client.post(f"/v1/sandboxes/{segment(endpoint)}/networks", {"id": chosen})
    _show(session, "network_attached", endpoint, chosen, f"Attached {endpoint} to {chosen}")


def detach(ctx: typer.Context, sandbox: First = "", network: Second = "", yes: Force = False) -> None:
    """Take a sandbox off a network."""
    session: Session = ctx.obj
    endpoint, chosen = _pair(session, sandbox, network, "detach")
    if not yes:
        _ask(session, endpoint, chosen)
    session.client.delete(f"/v1/sandboxes/{segment(endpoint)}/networks/{segment(chosen)}")
    _show(session, "network_detached", endpoint, chosen, f"Detached {endpoint} from {chosen}")


def _show(session: Session, action: str, endpoint: str, network: str, sentence: str) -> None:
    document = {"action": action, "network": network, "endpoint": endpoint, "type": "sandbox"}
    session.output.show(document, [sentence])


def _ask(session: Session, endpoint: str, network: str) -> None:
    if not session.interactive:
        hint = f"createos sandbox network detach {endpoint} {network} --yes"
        raise Usage(f"detaching {endpoint} needs --yes without a terminal", hint=hint)
    from createos_cli.prompts import confirm

    confirm(session, f"Take {endpoint} off {network}?")


def _pair(session: Session, first: str, second: str, verb: str) -> tuple[str, str]:
    """Return the id of the sandbox and the network, whichever of them came first."""
    for text in (first, second):
        if text.startswith(DEVICE_BEGINNINGS):
            raise Usage(f"{text} is a device, and this server has none", hint="name a sandbox")
    if first and second:
        return _told_apart(session, first, second)
    if not session.interactive:
        hint = f"for example: createos sandbox network {verb} my-box backend" + (" --yes" if verb == "detach" else "")
        raise Usage(f"{verb} needs a sandbox and a network", hint=hint)
    endpoint = one_sandbox(session, first, f"network {verb}", status="running")
    return endpoint, _picked(session, endpoint, verb)


def _told_apart(session: Session, first: str, second: str) -> tuple[str, str]:
    if first.startswith(SANDBOX_BEGINNINGS):
        return resolve(session.client, first), second
    if second.startswith(SANDBOX_BEGINNINGS):
        return resolve(session.client, second), first
    networks = {str(row.get(key)) for row in _networks(session) for key in ("id", "name")}
    rows = session.client.rows("/v1/sandboxes", limit=LOOKED_THROUGH)
    for sandbox, network in ((first, second), (second, first)):
        if network in networks and _is_sandbox(sandbox, rows):
            return match(sandbox, rows), network
    # Neither reading works: the page's order gives the error that helps most.
    return match(first, rows), second


def _is_sandbox(text: str, rows: list[JsonObject]) -> bool:
    try:
        match(text, rows)
    except (NoMatch, Ambiguous):
        return False
    return True


def _picked(session: Session, sandbox_id: str, verb: str) -> str:
    rows = _networks(session)
    if verb == "detach":
        rows = [row for row in rows if _is_member(session, row, sandbox_id)]
    if not rows:
        session.output.remark("There is no network to choose.")
        raise Cancelled
    from createos_cli.prompts import choose

    return str(rows[choose(session, "Which network?", [str(row.get("name")) for row in rows])]["name"])


def _is_member(session: Session, row: JsonObject, sandbox_id: str) -> bool:
    found = session.client.get(f"/v1/networks/{segment(str(row['id']))}")
    return any(member.get("sandbox_id") == sandbox_id for member in found.get("members") or ())


def _networks(session: Session) -> list[JsonObject]:
    return session.client.rows("/v1/networks", limit=LOOKED_THROUGH)
