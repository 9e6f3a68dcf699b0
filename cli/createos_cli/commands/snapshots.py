"""`pause`, `resume` and `fork` (cli-behaviour 4.6, 4.7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Annotated

import typer

from createos_cli.client import JsonObject, segment
from createos_cli.commands.disk_places import places_of
from createos_cli.commands.pick import one_sandbox
from createos_cli.errors import ApiFailure, CliError, Usage
from createos_cli.formats import label
from createos_cli.session import Session
from createos_cli.ssh_keys import read_public_key
from createos_cli.waiting import wait_for

PAUSE_EXAMPLES = """\b
Examples:
  createos sandbox pause my-box"""
RESUME_EXAMPLES = """\b
Examples:
  createos sandbox resume my-box
  createos sandbox resume my-box --cold"""
FORK_EXAMPLES = """\b
Examples:
  createos sandbox pause my-box && createos sandbox fork my-box
  createos sandbox fork my-box --count 3
  createos sandbox fork my-box --paused"""

Sandbox = Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    group.command("pause", epilog=PAUSE_EXAMPLES)(pause)
    group.command("resume", epilog=RESUME_EXAMPLES)(resume)
    group.command("fork", epilog=FORK_EXAMPLES)(fork)


def pause(ctx: typer.Context, sandbox: Sandbox = "") -> None:
    """Save memory and disk and stop the machine."""
    session: Session = ctx.obj
    chosen = one_sandbox(session, sandbox, "pause", status="running")
    with session.output.waiting("Pausing"):
        session.client.post(f"/v1/sandboxes/{segment(chosen)}/pause", {})
        found = wait_for(session.client, chosen, "paused")
    session.output.show({**found, "action": "paused"}, [f"Paused {label(found)}"])


def resume(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    cold: Annotated[bool, typer.Option("--cold", help="Boot from the disk; what was in memory is lost.")] = False,
) -> None:
    """Go on where a paused sandbox stopped."""
    session: Session = ctx.obj
    chosen = one_sandbox(session, sandbox, "resume", status="paused")
    with session.output.waiting("Resuming"):
        session.client.post(f"/v1/sandboxes/{segment(chosen)}/resume{'?cold=true' if cold else ''}", {})
        found = wait_for(session.client, chosen, "running")
    session.output.show({**found, "action": "resumed"}, [f"Resumed {label(found)}"])


def fork(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    paused: Annotated[bool, typer.Option("--paused", help="Leave the clone paused.")] = False,
    count: Annotated[int, typer.Option("--count", metavar="N", help="How many clones.")] = 1,
    ssh_key: Annotated[
        list[str] | None, typer.Option("--ssh-key", metavar="PATH", help="Replace the SSH keys; repeatable.")
    ] = None,
    egress: Annotated[
        list[str] | None, typer.Option("--egress", metavar="HOST", help="Replace the allowlist; repeatable.")
    ] = None,
) -> None:
    """Clone a paused sandbox with its memory; the server names the clones."""
    session: Session = ctx.obj
    if count < 1:
        raise Usage(f"--count must be at least 1, not {count}", hint="createos sandbox fork my-box --count 3")
    wanted: JsonObject = {"start_paused": True} if paused else {}
    if ssh_key:
        wanted["ssh_pubkeys"] = [read_public_key(path, "--ssh-key") for path in ssh_key]
    if egress:
        wanted["egress"] = [rule for text in egress for rule in text.split(",") if rule]
    source = one_sandbox(session, sandbox, "fork", status="paused")
    _require_paused(session, source)
    if session.interactive:
        _say_what_stays(session, source)
    clones = _clone(session, source, wanted, count)
    documents = [{**clone, "action": "forked", "source_id": source} for clone in clones]
    session.output.show(documents[0] if count == 1 else documents, _prose(clones))


def _require_paused(session: Session, source: str) -> None:
    """Wait for a pause that is under way; never pause a running workload by ourselves."""
    found = session.client.get(f"/v1/sandboxes/{segment(source)}")
    status = found.get("status")
    if status == "pausing":
        with session.output.waiting("Waiting for the pause"):
            wait_for(session.client, source, "paused")
    elif status != "paused":
        name = found.get("name") or source
        hint = f"createos sandbox pause {name} && createos sandbox fork {name}"
        raise CliError(f"{label(found)} is {status}; only a paused sandbox can be forked", hint=hint)


def _say_what_stays(session: Session, source: str) -> None:
    """Name the S3 disks that the clones will not have; a server that knows of none says nothing."""
    with suppress(ApiFailure):
        names = sorted({str(place.get("name")) for place in places_of(session.client, source)})
        if names:
            session.output.remark(f"Clones come up without the disks of their source: {', '.join(names)}")


def _clone(session: Session, source: str, wanted: JsonObject, count: int) -> list[JsonObject]:
    clones: list[JsonObject] = []
    target = "paused" if wanted.get("start_paused") else "running"
    try:
        for number in range(count):
            with session.output.waiting(f"Forking {number + 1} of {count}" if count > 1 else "Forking"):
                made = session.client.post(f"/v1/sandboxes/{segment(source)}/fork", wanted)
                clones.append(made)
                clones[-1] = wait_for(session.client, str(made["id"]), target)
    except CliError as exc:
        if not clones:
            raise
        ids = " ".join(str(clone["id"]) for clone in clones)
        raise CliError(exc.message, hint=f"made before that: createos sandbox rm {ids} --force") from exc
    return clones


def _prose(clones: Sequence[JsonObject]) -> Iterator[str]:
    for clone in clones:
        yield f"Forked {label(clone)}: {clone.get('status')}"
