"""`template`: images made of people's own Dockerfiles (cli-behaviour 8.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from createos_cli.client import Client, JsonObject, segment
from createos_cli.errors import Cancelled, CliError, NotSignedIn, Unreachable, Usage
from createos_cli.formats import TABLE_TIME, local_time, size
from createos_cli.groups import command_group
from createos_cli.output import Output
from createos_cli.session import Session
from createos_cli.tables import Column, table

LOOKED_THROUGH = 200
STYLES = {"ready": "green", "failed": "red", "building": "yellow", "pending": "yellow"}
GROUP_EXAMPLES = """\b
Examples:
  createos sandbox template submit my-rails -f Dockerfile
  createos sandbox create --shape s-1vcpu-1gb --rootfs my-rails
  createos sandbox template ls"""
SUBMIT_EXAMPLES = """\b
Examples:
  createos sandbox template submit my-rails
  createos sandbox template submit my-rails -f docker/Dockerfile --no-follow
  createos sandbox template submit from-a-stranger --builder vm"""
LIST_EXAMPLES = """\b
Examples:
  createos sandbox template ls
  createos sandbox template ls --output json | jq -r '.[].name'"""
SHOW_EXAMPLES = """\b
Examples:
  createos sandbox template show my-rails
  createos sandbox template show my-rails --dockerfile"""
LOG_EXAMPLES = """\b
Examples:
  createos sandbox template logs my-rails
  createos sandbox template logs my-rails --follow"""
REMOVE_EXAMPLES = """\b
Examples:
  createos sandbox template rm my-rails
  createos sandbox template rm my-rails other --force"""

Name = Annotated[str, typer.Argument(metavar="TEMPLATE", help="Name or id.")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    templates = command_group("Build images from Dockerfiles.", GROUP_EXAMPLES)
    templates.command("submit|build|create", epilog=SUBMIT_EXAMPLES)(submit)
    templates.command("ls|list", epilog=LIST_EXAMPLES)(list_)
    templates.command("show|get", epilog=SHOW_EXAMPLES)(show)
    templates.command("logs", epilog=LOG_EXAMPLES)(logs)
    templates.command("rm|delete", epilog=REMOVE_EXAMPLES)(rm)
    group.add_typer(templates, name="template|templates|tpl")


def submit(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the image.")] = "",
    file: Annotated[Path, typer.Option("--file", "-f", metavar="PATH", help="The Dockerfile.")] = Path("Dockerfile"),
    builder: Annotated[
        str, typer.Option("--builder", metavar="NAME", help="vm builds in a machine of its own; default: the engine's.")
    ] = "",
    no_follow: Annotated[bool, typer.Option("--no-follow", help="Do not wait for the end of the build.")] = False,
) -> int:
    """Build an image from a Dockerfile; only its text is sent, no files beside it."""
    session: Session = ctx.obj
    if not name:
        raise Usage("submit needs a name", hint="for example: createos sandbox template submit my-rails -f Dockerfile")
    body = {"name": name, "dockerfile": _read(file), **({"builder": builder} if builder else {})}
    found = session.client.post("/v1/templates", body)
    prose = [f"Submitted {found.get('name')} ({found.get('id')}): {found.get('status')}"]
    if no_follow:
        prose.append(f"See how it goes: createos sandbox template logs {name} --follow")
    session.output.show({**found, "action": "template_submitted"}, prose)
    return 0 if no_follow else _follow(session, str(found.get("id", "")), name)


def list_(ctx: typer.Context) -> None:
    """List templates, newest first."""
    session: Session = ctx.obj
    rows = _rows(session.client)
    empty = ["There are no templates yet.", "Build one: createos sandbox template submit my-rails -f Dockerfile"]
    session.output.show(rows, _table(rows, session.output) if rows else empty)


def show(
    ctx: typer.Context,
    template: Name = "",
    dockerfile: Annotated[bool, typer.Option("--dockerfile", help="Show the Dockerfile, too.")] = False,
) -> None:
    """Show one template."""
    session: Session = ctx.obj
    query = {"include": "dockerfile"} if dockerfile else {}
    found = session.client.get(_path(_one(session, template, "show")), **query)
    session.output.show(found, _details(found, session.output))


def logs(
    ctx: typer.Context,
    template: Name = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the build ends.")] = False,
) -> int:
    """Print what the latest build has printed.

    With --follow the exit code says how it ended: 0 when the image is ready.
    """
    session: Session = ctx.obj
    chosen = _one(session, template, "logs")
    if follow:
        return _follow(session, chosen, chosen)
    for piece in session.client.text(f"{_path(chosen)}/logs"):
        session.output.write(piece)
    return 0


def rm(
    ctx: typer.Context,
    templates: Annotated[list[str] | None, typer.Argument(metavar="TEMPLATE", help="Names or ids.")] = None,
    force: Annotated[
        bool, typer.Option("--force", "--yes", "-y", help="Do not ask; required without a terminal.")
    ] = False,
) -> int:
    """Remove templates; sandboxes made from them stay."""
    session: Session = ctx.obj
    references = templates or _picked(session)
    if not force:
        _ask(session, references)
    results = [_remove(session, reference) for reference in references]
    failed = sum("error" in result for result in results)
    if not session.output.as_json:
        for result in results:
            if "error" in result:
                session.output.fail_line(f"{result['ref']}: {result['error']}")
    document = {"action": "template_deleted", "results": results, "deleted": len(results) - failed, "failed": failed}
    session.output.show(document, [f"Removed {result['ref']}" for result in results if "error" not in result])
    return int(failed > 0)


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise Usage(f"{file} is not text in UTF-8", hint="name the Dockerfile with -f") from exc
    except OSError as exc:
        raise Usage(f"{file} cannot be read: {exc.strerror}", hint="name the Dockerfile with -f") from exc
    if not text.strip():
        raise Usage(f"{file} is empty", hint="begin with FROM; createos sandbox rootfs lists the images")
    return text


def _follow(session: Session, template: str, name: str) -> int:
    """Print lines until the build ends; 1 when there is no image then."""
    status = ""
    for frame in session.client.follow(f"{_path(template)}/logs", follow="true"):
        if frame.get("final"):
            status = str(frame.get("status", ""))
        elif "line" in frame:
            session.output.write(f"{frame['line']}\n".encode(errors="replace"))
    status = status or str(session.client.get(_path(template)).get("status", ""))
    if status == "ready":
        session.output.remark(f"{name} is ready: createos sandbox create --shape s-1vcpu-1gb --rootfs {name}")
        return 0
    session.output.remark(f"{name} is {status}: createos sandbox template logs {name}")
    return 1


def _rows(client: Client) -> list[JsonObject]:
    return client.rows("/v1/templates", limit=LOOKED_THROUGH)


def _one(session: Session, reference: str, verb: str) -> str:
    if reference:
        return reference
    if not session.interactive:
        raise Usage(f"{verb} needs a template", hint=f"for example: createos sandbox template {verb} my-rails")
    rows = _some(session)
    from createos_cli.prompts import choose

    return str(rows[choose(session, "Which template?", [_label(row) for row in rows])]["id"])


def _picked(session: Session) -> list[str]:
    if not session.interactive:
        raise Usage("rm needs a template", hint="for example: createos sandbox template rm my-rails --force")
    rows = _some(session)
    from createos_cli.prompts import choose_several

    return [str(rows[place]["id"]) for place in choose_several(session, "Which ones?", [_label(row) for row in rows])]


def _some(session: Session) -> list[JsonObject]:
    rows = _rows(session.client)
    if not rows:
        session.output.remark("There are no templates.")
        raise Cancelled
    return rows


def _ask(session: Session, references: Sequence[str]) -> None:
    names = " ".join(references)
    if not session.interactive:
        hint = f"createos sandbox template rm {names} --force"
        raise Usage(f"removing {names} needs --force without a terminal", hint=hint)
    from createos_cli.prompts import confirm

    confirm(session, f"Remove {names}?")


def _remove(session: Session, reference: str) -> JsonObject:
    try:
        removed = session.client.delete(_path(reference))
    except (NotSignedIn, Unreachable):
        raise
    except CliError as exc:
        return {"ref": reference, "deleted": False, "error": exc.message}
    return {"ref": reference, "id": removed.get("id", ""), "deleted": True}


def _table(rows: Sequence[JsonObject], output: Output) -> Iterator[str]:
    status = Column("Status", lambda cell: output.paint(cell, STYLES.get(cell.strip(), "")))
    columns = (Column("Name"), Column("ID"), status, Column("Size"), Column("Created"))
    cells = [
        [
            str(row.get("name", "")),
            str(row.get("id", "")),
            str(row.get("status", "")),
            _size(row),
            local_time(row.get("created_at"), TABLE_TIME),
        ]
        for row in rows
    ]
    yield from table(columns, cells, output.limit)


def _details(found: JsonObject, output: Output) -> Iterator[str]:
    status = str(found.get("status", ""))
    yield output.paint(_label(found), "bold")
    rows = [
        ("Status", status),
        ("Reason", str(found.get("reason") or "")),
        ("Base", str(found.get("base") or "")),
        ("Builder", str(found.get("builder") or "")),
        ("Size", _size(found)),
        ("Created", local_time(found.get("created_at"))),
        ("Built", local_time(found.get("built_at"))),
    ]
    yield from output.facts(rows, {"Status": STYLES.get(status, "")})
    name = found.get("name")
    hints = {
        "ready": f"Use it: createos sandbox create --shape s-1vcpu-1gb --rootfs {name}",
        "failed": f"See why: createos sandbox template logs {name}",
    }
    yield hints.get(status, f"See how it goes: createos sandbox template logs {name} --follow")
    if text := found.get("dockerfile"):
        yield ""
        yield from str(text).splitlines()


def _size(row: JsonObject) -> str:
    count = row.get("ext4_size_bytes")
    return size(count) if isinstance(count, int) and count else ""


def _label(row: JsonObject) -> str:
    return f"{row.get('name')} ({row.get('id')})"


def _path(reference: str) -> str:
    return f"/v1/templates/{segment(reference)}"
