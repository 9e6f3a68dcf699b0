"""`url` and `open`: the public address of a program in a sandbox."""

from __future__ import annotations

from typing import Annotated

import typer

from createos_cli.client import segment
from createos_cli.commands.pick import one_sandbox
from createos_cli.errors import CliError
from createos_cli.session import Session

PLACEHOLDER = "<port>"
URL_EXAMPLES = """\b
Examples:
  createos sandbox url my-box 8080
  curl "$(createos sandbox url my-box 8080 --output table)\""""
OPEN_EXAMPLES = """\b
Examples:
  createos sandbox open my-box 8080"""

Sandbox = Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")]
Port = Annotated[int, typer.Argument(metavar="PORT", help="What the program listens on.", min=1, max=65_535)]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    group.command("url", epilog=URL_EXAMPLES)(url)
    group.command("open", epilog=OPEN_EXAMPLES)(open_)


def url(ctx: typer.Context, sandbox: Sandbox, port: Port) -> None:
    """Print the public URL of a port."""
    session: Session = ctx.obj
    _show(session, _url(session, sandbox, port))


def open_(ctx: typer.Context, sandbox: Sandbox, port: Port) -> None:
    """Print the public URL of a port and open it in a browser."""
    session: Session = ctx.obj
    address = _url(session, sandbox, port)
    _show(session, address)
    import webbrowser

    if not webbrowser.open(address):
        session.output.remark("There is no browser to open it with.")


def _show(session: Session, address: str) -> None:
    session.output.show({"url": address}, [address])


def _url(session: Session, reference: str, port: int) -> str:
    identity = one_sandbox(session, reference, "url")
    found = session.client.get(f"/v1/sandboxes/{segment(identity)}")
    template = str(found.get("ingress_url_template") or "")
    if not template:
        name = found.get("name") or identity
        hint = f"createos sandbox edit {name} --ingress on"
        if found.get("ingress_enabled"):
            hint = "the server says why: createosd doctor"
        raise CliError(f"{name} has no public URL", hint=hint)
    return template.replace(PLACEHOLDER, str(port), 1)
