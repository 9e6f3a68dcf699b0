"""`disk attach` and `detach`: a sandbox, a disk and a path, in three words or two (cli-behaviour 7.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

import typer

from createos_cli.client import Client, JsonObject, segment
from createos_cli.commands.disk_rows import picked_disk
from createos_cli.commands.pick import one_sandbox
from createos_cli.errors import NoMatch, Usage
from createos_cli.output import Output
from createos_cli.resolve import LOOKED_THROUGH, resolve
from createos_cli.session import Session
from createos_cli.tables import Column, table
from createos_cli.waiting import wait_for_mount

ATTACH_EXAMPLES = """\b
Examples:
  createos sandbox disk attach my-box data:/mnt/data
  createos sandbox disk attach my-box data /mnt/logs --sub-path logs/2026 --wait"""
DETACH_EXAMPLES = """\b
Examples:
  createos sandbox disk detach my-box data
  createos sandbox disk detach my-box data:/mnt/data --yes"""

Where = Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")]
What = Annotated[str, typer.Argument(metavar="DISK", help="Name or id, or NAME:/PATH.")]
Path = Annotated[str, typer.Argument(metavar="MOUNT-PATH", help="Where in the sandbox.")]
Force = Annotated[bool, typer.Option("--yes", "-y", "--force", help="Do not ask; required without a terminal.")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    group.command("attach", epilog=ATTACH_EXAMPLES)(attach)
    group.command("detach", epilog=DETACH_EXAMPLES)(detach)


def attach(
    ctx: typer.Context,
    sandbox: Where = "",
    disk: What = "",
    mount_path: Path = "",
    sub_path: Annotated[str, typer.Option(metavar="FOLDER", help="Only this folder of the bucket.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is mounted, 30 seconds at most.")] = False,
) -> None:
    """Mount a disk in a running sandbox; it is there a few seconds later."""
    session: Session = ctx.obj
    name, path = _parts(disk, mount_path)
    if not session.interactive and not (sandbox and name and path):
        hint = "for example: createos sandbox disk attach my-box data:/mnt/data"
        raise Usage("attach needs a sandbox, a disk and a path", hint=hint)
    sandbox_id = one_sandbox(session, sandbox, "disk attach", status="running")
    name = name or picked_disk(session, "attach")
    path = path or _asked_path(session, name)
    extra = {"sub_path": sub_path} if sub_path else {}
    body = {"disk_id": name, "mount_path": path, **extra}
    session.client.post(f"/v1/sandboxes/{segment(sandbox_id)}/disks", body)
    document = {"action": "disk_attached", "disk": name, "sandbox_id": sandbox_id, "mount_path": path, **extra}
    if wait:
        with session.output.waiting(f"Mounting {name}"):
            document["mount_status"] = wait_for_mount(session.client, sandbox_id, path)
    done = "is mounted at" if wait else "will be mounted in a moment at"
    session.output.show(document, [f"Disk {name} {done} {path} of {sandbox or sandbox_id}"])


def detach(ctx: typer.Context, sandbox: Where = "", disk: What = "", mount_path: Path = "", yes: Force = False) -> None:
    """Take a disk away from a sandbox; what is in the bucket stays there."""
    session: Session = ctx.obj
    name, path = _parts(disk, mount_path)
    if not session.interactive and not (sandbox and name):
        hint = "for example: createos sandbox disk detach my-box data --yes"
        raise Usage("detach needs a sandbox and a disk", hint=hint)
    sandbox_id = one_sandbox(session, sandbox, "disk detach", status="running")
    place = _meant(session, sandbox_id, name, path)
    shown = f"{place.get('name')} from {place.get('mount_path')} of {sandbox or sandbox_id}"
    if not yes:
        _ask(session, shown, f"{sandbox} {place.get('name')}:{place.get('mount_path')}")
    take_away(session.client, sandbox_id, place)
    document = {
        "action": "disk_detached",
        "disk": name or place.get("name"),
        "sandbox_id": sandbox_id,
        "mount_path": place.get("mount_path"),
    }
    session.output.show(document, [f"Detached {shown}"])


def show_places(session: Session, sandbox: str) -> None:
    """Print the disks of a sandbox and how their mounts are doing."""
    rows = places_of(session.client, resolve(session.client, sandbox))
    empty = [f"{sandbox} has no disks.", f"Mount one: createos sandbox disk attach {sandbox} data:/mnt/data"]
    session.output.show(rows, _table(rows, session.output) if rows else empty)


def places_of(client: Client, sandbox_id: str) -> list[JsonObject]:
    """Return the disks of a sandbox with their paths."""
    return client.rows(f"/v1/sandboxes/{segment(sandbox_id)}/disks", limit=LOOKED_THROUGH)


def take_away(client: Client, sandbox_id: str, place: JsonObject) -> None:
    """Detach what is at a place."""
    where = urlencode({"mount_path": str(place.get("mount_path") or "")})
    client.delete(f"/v1/sandboxes/{segment(sandbox_id)}/disks/{segment(str(place['disk_id']))}?{where}")


def _parts(disk: str, mount_path: str) -> tuple[str, str]:
    """Return disk and path, which may be empty, of `DISK PATH` or `DISK:PATH`."""
    name, colon, path = disk.partition(":")
    if colon and mount_path:
        raise Usage(f"{disk} names a path and {mount_path} is another", hint=f"write {name}:{mount_path}")
    if colon and not (name and path):
        raise Usage(f"{disk} is not NAME:/PATH", hint="for example: data:/mnt/data")
    chosen = path or mount_path
    if chosen and not chosen.startswith("/"):
        raise Usage(f"the mount path {chosen} does not begin with /", hint=f"for example: {name}:/mnt/{name}")
    return name, chosen


def _asked_path(session: Session, name: str) -> str:
    from createos_cli.prompts import ask

    return ask(session, "Where shall it be mounted?", default=f"/mnt/{name}")


def _meant(session: Session, sandbox_id: str, name: str, path: str) -> JsonObject:
    """Return the place that is meant; of several, one is chosen on a terminal."""
    found = [
        place
        for place in places_of(session.client, sandbox_id)
        if name in ("", place.get("name"), place.get("disk_id"))
        and path.rstrip("/") in ("", str(place.get("mount_path")))
    ]
    if not found:
        what = f"disk {name}" if name else "a disk"
        where = f" at {path}" if path else ""
        raise NoMatch(f"the sandbox does not have {what}{where}", hint="createos sandbox disk ls --sandbox NAME")
    if len(found) == 1 and name:
        return found[0]
    if not session.interactive:
        paths = ", ".join(str(place.get("mount_path")) for place in found)
        raise Usage(f"disk {name} is mounted at {paths}", hint=f"name one: {name}:{found[0].get('mount_path')}")
    from createos_cli.prompts import choose

    return found[choose(session, "Which disk?", [_line(place) for place in found])]


def _line(place: JsonObject) -> str:
    return f"{place.get('name')}  {place.get('mount_path')}  {place.get('mount_status')}"


def _ask(session: Session, shown: str, words: str) -> None:
    if not session.interactive:
        raise Usage(
            f"detaching {shown} needs --yes without a terminal", hint=f"createos sandbox disk detach {words} --yes"
        )
    from createos_cli.prompts import confirm

    confirm(session, f"Detach {shown}?")


def _table(rows: Sequence[JsonObject], output: Output) -> list[str]:
    columns = [Column(title) for title in ("Disk", "Mounted at", "Folder", "Status", "Error")]
    keys = ("name", "mount_path", "sub_path", "mount_status", "mount_error")
    return list(table(columns, [[str(row.get(key) or "") for key in keys] for row in rows], output.limit))
