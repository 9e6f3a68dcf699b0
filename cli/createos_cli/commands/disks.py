"""`disk`: registered S3 buckets (cli-behaviour 7.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from createos_cli.client import Client, JsonObject, segment
from createos_cli.commands import disk_places
from createos_cli.commands.disk_keys import AccessKey, SecretKey, read_keys
from createos_cli.commands.disk_rows import disk_rows, picked_disk
from createos_cli.errors import CliError, NotSignedIn, Unreachable, Usage
from createos_cli.formats import TABLE_TIME, local_time
from createos_cli.groups import command_group
from createos_cli.output import Output
from createos_cli.resolve import LOOKED_THROUGH
from createos_cli.session import Session
from createos_cli.tables import Column, table

HOLDING = ("running", "paused")
GROUP_EXAMPLES = """\b
Examples:
  createos sandbox disk create data --bucket my-bucket --endpoint https://s3.example.com
  createos sandbox disk attach my-box data:/mnt/data
  createos sandbox disk ls --sandbox my-box"""
CREATE_EXAMPLES = """\b
Examples:
  createos sandbox disk create
  createos sandbox disk create data --bucket b --endpoint https://s3.example.com --region eu-1
  createos sandbox disk create data --bucket b --endpoint http://minio:9000 --path-style"""
LIST_EXAMPLES = """\b
Examples:
  createos sandbox disk ls
  createos sandbox disk ls --sandbox my-box
  createos sandbox disk ls --output json | jq -r '.[].config.bucket'"""
SHOW_EXAMPLES = """\b
Examples:
  createos sandbox disk show data
  createos sandbox disk show data --output json | jq -r .config.endpoint"""
ROTATE_EXAMPLES = """\b
Examples:
  createos sandbox disk rotate data
  createos sandbox disk rotate data --access-key ID --secret-key - < secret"""
REMOVE_EXAMPLES = """\b
Examples:
  createos sandbox disk rm data
  createos sandbox disk rm data logs --yes"""

Name = Annotated[str, typer.Argument(metavar="DISK", help="Name or id.")]
Force = Annotated[bool, typer.Option("--yes", "-y", "--force", help="Do not ask; required without a terminal.")]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    disks = command_group("Register S3 buckets and mount them in sandboxes.", GROUP_EXAMPLES)
    disks.command("create", epilog=CREATE_EXAMPLES)(create)
    disks.command("ls|list", epilog=LIST_EXAMPLES)(list_)
    disks.command("show|get", epilog=SHOW_EXAMPLES)(show)
    disks.command("rotate", epilog=ROTATE_EXAMPLES)(rotate)
    disks.command("rm|delete", epilog=REMOVE_EXAMPLES)(rm)
    disk_places.register(disks)
    group.add_typer(disks, name="disk|disks")


def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")] = "",
    bucket: Annotated[str, typer.Option(metavar="BUCKET", help="The bucket's own name.")] = "",
    endpoint: Annotated[str, typer.Option(metavar="URL", help="Where its S3 server is.")] = "",
    access_key: AccessKey = "",
    secret_key: SecretKey = "",
    region: Annotated[str, typer.Option(metavar="REGION", help="Its region, if the server has some.")] = "",
    path_style: Annotated[bool, typer.Option("--path-style", help="For MinIO and most servers of one's own.")] = False,
) -> None:
    """Register a bucket; it must answer to the keys."""
    session: Session = ctx.obj
    if not session.interactive:
        _require(name=name, bucket=bucket, endpoint=endpoint, access_key=access_key, secret_key=secret_key)
    called = name or _asked(session, "What shall the disk be called?")
    config: JsonObject = {
        "bucket": bucket or _asked(session, "Which bucket?"),
        "endpoint": endpoint or _asked(session, "Where is its S3 server (https://…)?"),
        **({"region": region} if region else {}),
        "use_path_style": path_style,
    }
    credentials = read_keys(session, access_key, secret_key, "create")
    with session.output.waiting(f"Asking {config['endpoint']}"):
        made = session.client.post(
            "/v1/disks", {"name": called, "kind": "s3", "config": config, "credentials": credentials}
        )
    prose = [
        session.output.paint("Registered.", "green") + f" Disk {called} ({made.get('id')})",
        f"Mount it:         createos sandbox disk attach my-box {called}:/mnt/{called}",
        f"Or begin with it: createos sandbox create --disk {called}:/mnt/{called} --shape s-1vcpu-256mb",
    ]
    session.output.show({**made, "action": "disk_created"}, prose)


def list_(
    ctx: typer.Context,
    sandbox: Annotated[str, typer.Option(metavar="SANDBOX", help="Only what this one has, and where.")] = "",
) -> None:
    """List disks, newest first; or those of a sandbox with their mounts."""
    session: Session = ctx.obj
    if sandbox:
        disk_places.show_places(session, sandbox)
        return
    rows = disk_rows(session)
    empty = ["There are no disks yet.", "Register a bucket: createos sandbox disk create"]
    session.output.show(rows, _table(rows, session.output) if rows else empty)


def show(ctx: typer.Context, disk: Name = "") -> None:
    """Show one disk; its keys are never shown."""
    session: Session = ctx.obj
    found = session.client.get(f"/v1/disks/{segment(disk or picked_disk(session, 'show'))}")
    session.output.show(found, _details(found, session.output))


def rotate(ctx: typer.Context, disk: Name = "", access_key: AccessKey = "", secret_key: SecretKey = "") -> None:
    """Give a disk other keys; its bucket must answer to them."""
    session: Session = ctx.obj
    chosen = disk or picked_disk(session, "rotate", more=" --access-key ID --secret-key -")
    credentials = read_keys(session, access_key, secret_key, f"rotate {chosen}")
    changed = session.client.patch(f"/v1/disks/{segment(chosen)}", {"credentials": credentials})
    session.output.show({**changed, "action": "disk_rotated"}, [f"Disk {changed.get('name')} has other keys."])


def rm(
    ctx: typer.Context,
    disks: Annotated[list[str] | None, typer.Argument(metavar="DISK", help="Names or ids.")] = None,
    yes: Force = False,
) -> int:
    """Detach disks everywhere and forget them; their buckets stay as they are."""
    session: Session = ctx.obj
    references = disks or [picked_disk(session, "rm", more=" --yes")]
    if not yes:
        _ask(session, references)
    results = [_remove(session, reference) for reference in references]
    failed = sum("error" in result for result in results)
    document = {"action": "disk_deleted", "results": results, "deleted": len(results) - failed, "failed": failed}
    session.output.show(document, [f"Deleted {result['ref']}" for result in results if "error" not in result])
    if failed and not session.output.as_json:
        session.output.fail_line(f"{failed} of {len(results)} failed")
    return int(failed > 0)


def _require(**given: str) -> None:
    """Name everything at once that nobody can be asked for."""
    missing = ["NAME" if key == "name" else f"--{key.replace('_', '-')}" for key, text in given.items() if not text]
    if missing:
        hint = "for example: createos sandbox disk create data --bucket b --endpoint URL --access-key ID --secret-key -"
        raise Usage(f"create needs {', '.join(missing)} without a terminal", hint=hint)


def _asked(session: Session, question: str) -> str:
    from createos_cli.prompts import ask

    return ask(session, question)


def _ask(session: Session, references: Sequence[str]) -> None:
    names = " ".join(references)
    if not session.interactive:
        hint = f"createos sandbox disk rm {names} --yes"
        raise Usage(f"deleting {names} needs --yes without a terminal", hint=hint)
    from createos_cli.prompts import confirm

    confirm(session, f"Detach {names} from every sandbox and forget it? The bucket stays as it is.")


def _remove(session: Session, reference: str) -> JsonObject:
    """Remove one; a refusal is kept for the report, so that the others still get their turn."""
    path = f"/v1/disks/{segment(reference)}"
    try:
        found = session.client.get(path)
        for sandbox, place in _holders(session.client, str(found["id"])):
            disk_places.take_away(session.client, str(sandbox["id"]), place)
            session.output.remark(f"Detached {found['name']} from {sandbox.get('name') or sandbox['id']}")
        session.client.delete(path)
    except (NotSignedIn, Unreachable):
        raise
    except CliError as exc:
        if not session.output.as_json:
            session.output.fail_line(f"{reference}: {exc.message}")
        return {"ref": reference, "deleted": False, "error": exc.message}
    return {"ref": reference, "id": found["id"], "deleted": True}


def _holders(client: Client, disk_id: str) -> Iterator[tuple[JsonObject, JsonObject]]:
    """Yield the sandboxes that have a disk, with the place where they have it."""
    for status in HOLDING:
        for sandbox in client.rows("/v1/sandboxes", limit=LOOKED_THROUGH, status=status):
            for place in disk_places.places_of(client, str(sandbox["id"])):
                if place.get("disk_id") == disk_id:
                    yield sandbox, place


def _table(rows: Sequence[JsonObject], output: Output) -> list[str]:
    columns = [Column(title) for title in ("Name", "ID", "Kind", "Bucket", "Created")]
    cells = [
        [
            *(str(row.get(key) or "") for key in ("name", "id", "kind")),
            str((row.get("config") or {}).get("bucket") or ""),
            local_time(row.get("created_at"), TABLE_TIME),
        ]
        for row in rows
    ]
    return list(table(columns, cells, output.limit))


def _details(found: JsonObject, output: Output) -> Iterator[str]:
    config: JsonObject = found.get("config") or {}
    yield output.paint(f"{found.get('name')} ({found.get('id')})", "bold")
    yield from output.facts(
        [
            ("Kind", str(found.get("kind") or "")),
            ("Bucket", str(config.get("bucket") or "")),
            ("Endpoint", str(config.get("endpoint") or "")),
            ("Region", str(config.get("region") or "")),
            ("Path style", "yes" if config.get("use_path_style") else "no"),
            ("Created", local_time(found.get("created_at"))),
        ]
    )
