"""`tunnel`: a local port that leads to one inside a sandbox (cli-behaviour 5.3)."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType
from typing import Annotated

import typer

from createos_cli.bridge import bridge
from createos_cli.client import Client, segment
from createos_cli.commands.pick import one_sandbox
from createos_cli.errors import MESSAGE_HINTS, CliError, Usage
from createos_cli.session import Session

BACKLOG = 128
PORTS = range(1, 65_536)
EXAMPLES = """\b
Examples:
  createos sandbox tunnel my-box --remote 8080
  createos sandbox tunnel my-box --remote 5432 --local 15432 --bind 0.0.0.0"""


def register(group: typer.Typer) -> None:
    """Add the command of this file."""
    group.command("tunnel|tun", epilog=EXAMPLES)(tunnel)


def tunnel(
    ctx: typer.Context,
    sandbox: Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")] = "",
    remote: Annotated[int, typer.Option("--remote", metavar="PORT", help="Port inside the sandbox.")] = 0,
    local: Annotated[int, typer.Option("--local", metavar="PORT", help="Local port; default: the same.")] = 0,
    bind: Annotated[str, typer.Option("--bind", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
) -> None:
    """Forward a local port to a port inside a sandbox until Ctrl-C."""
    session: Session = ctx.obj
    chosen = one_sandbox(session, sandbox, "tunnel", status="running")
    remote = _port(session, "--remote", remote, 0)
    local = _port(session, "--local", local, remote) if session.interactive else _checked("--local", local or remote)
    _require_running(session.client, chosen)
    with _listening(bind, local) as listener, _until_stopped():
        address = f"{bind}:{listener.getsockname()[1]}"
        document = {"action": "tunnel_started", "id": chosen, "listen_addr": address, "remote_port": remote}
        session.output.show(document, [f"Forwarding {address} → {sandbox or chosen}:{remote}; stop with Ctrl-C"])
        _serve(listener, session, f"/v1/sandboxes/{segment(chosen)}/tunnel/{remote}")


def _port(session: Session, flag: str, given: int, default: int) -> int:
    """Return a port that was given, else asked for on a terminal."""
    if given or not session.interactive:
        return _checked(flag, given or default)
    from createos_cli.prompts import ask

    text = ask(session, f"Port for {flag}:", default=str(default or ""))
    return _checked(flag, int(text) if text.isdecimal() else 0)


def _checked(flag: str, port: int) -> int:
    if port not in PORTS:
        hint = "createos sandbox tunnel my-box --remote 8080"
        raise Usage(f"{flag} must be a port from 1 to 65535", hint=f"for example: {hint}")
    return port


def _require_running(client: Client, sandbox_id: str) -> None:
    status = client.get(f"/v1/sandboxes/{segment(sandbox_id)}").get("status")
    if status != "running":
        said = f"sandbox is {status}"
        raise CliError(said, hint=MESSAGE_HINTS.get(said, ""))


def _listening(bind: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((bind, port))
        listener.listen(BACKLOG)
    except OSError as exc:
        raise CliError(f"{bind}:{port} cannot be listened on: {exc.strerror}", hint="choose another --local") from exc
    return listener


def _serve(listener: socket.socket, session: Session, path: str) -> None:
    while True:
        client, _ = listener.accept()
        Thread(target=_forward, args=(client, session, path), daemon=True).start()


def _forward(client: socket.socket, session: Session, path: str) -> None:
    """Serve one connection; one that cannot be had is closed, and said so."""
    try:
        upgraded = session.client.upgrade(path)
    except CliError as exc:
        session.output.remark(f"A connection was refused: {exc.message}")
        client.close()
        return
    bridge(client, upgraded.socket, upgraded.first)


class _Stopped(Exception):
    """Ctrl-C or TERM came."""


@contextmanager
def _until_stopped() -> Iterator[None]:
    """End the block quietly at Ctrl-C or TERM."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except (_Stopped, KeyboardInterrupt):
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
