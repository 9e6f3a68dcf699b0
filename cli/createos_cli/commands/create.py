"""`create`: a new sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from createos_cli.client import JsonObject
from createos_cli.commands.answers import Answers
from createos_cli.commands.pairs import parse_pairs
from createos_cli.durations import parse_auto_pause, short_duration
from createos_cli.errors import Usage
from createos_cli.formats import label
from createos_cli.output import Output
from createos_cli.session import Session
from createos_cli.ssh_keys import read_public_key

EXAMPLES = """\b
Examples:
  createos sandbox create --shape s-1vcpu-256mb --name my-box
  createos sandbox create --shape s-2vcpu-2gb --rootfs debian:12 --env KEY=value
  createos sandbox create --shape s-1vcpu-1gb --output json | jq -r .id"""


def register(group: typer.Typer) -> None:
    """Add the command of this file."""
    group.command("create|c", epilog=EXAMPLES)(create)


def create(
    ctx: typer.Context,
    shape: Annotated[str, typer.Option(metavar="ID", help="Size; createos sandbox shapes lists them.")] = "",
    name: Annotated[str, typer.Option(metavar="NAME", help="Name; the server makes one up without it.")] = "",
    rootfs: Annotated[str, typer.Option(metavar="IMAGE", help="Image or template; the server's default without.")] = "",
    disk_mib: Annotated[int, typer.Option(metavar="MIB", help="Root disk; 0 is the shape's.", min=0)] = 0,
    ssh_key: Annotated[list[str] | None, typer.Option(metavar="PATH", help="Public key file; repeatable.")] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Variable for exec; repeatable.")] = None,
    ingress: Annotated[bool, typer.Option("--ingress", help="Give it a public URL.")] = False,
    network: Annotated[
        list[str] | None, typer.Option("--network", "--net", metavar="NAME|ID", help="Join a network; repeatable.")
    ] = None,
    disk: Annotated[
        list[str] | None, typer.Option(metavar="NAME|ID:/PATH", help="Mount an S3 disk; repeatable.")
    ] = None,
    egress: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Allow this destination only; repeatable.")
    ] = None,
    auto_pause: Annotated[str, typer.Option(metavar="DURATION", help="Pause when idle for 60s to 24h.")] = "",
    cold: Annotated[bool, typer.Option("--cold", help="Boot it, even if there is a snapshot to start from.")] = False,
) -> None:
    """Create a sandbox and wait until it is usable."""
    session: Session = ctx.obj
    keys = tuple(read_public_key(path, "--ssh-key") for path in ssh_key or ())
    pause_s = parse_auto_pause(auto_pause) if auto_pause else 0
    networks = tuple(text.strip() for text in network or () if text.strip())
    given = Answers(shape, name, rootfs, ingress, networks, keys, pause_s)
    chosen = given if shape else _asked(session, given)
    wanted: JsonObject = {
        "shape": chosen.shape,
        "name": chosen.name,
        "rootfs": chosen.rootfs,
        "disk_mib": disk_mib,
        "ssh_pubkeys": list(chosen.keys),
        "egress": _split_hosts(egress or ()),
        "envs": parse_pairs(env or (), "--env"),
        "ingress_enabled": chosen.ingress,
        "networks": [{"id": text} for text in chosen.networks],
        "disks": [_parse_disk(text) for text in disk or ()],
        "auto_pause_after_seconds": chosen.auto_pause_s,
        "cold": cold,
    }
    with session.output.waiting(f"Creating {name or 'a sandbox'}"):
        created = session.client.post("/v1/sandboxes", {key: value for key, value in wanted.items() if value})
    session.output.show(_document(created), _prose(created, session.output))


def _document(created: JsonObject) -> JsonObject:
    """Add the keys of variant B to the API's object (cli-behaviour 1)."""
    url = created.get("ingress_url_template")
    reference = created.get("name") or created.get("id")
    extra = {"ingress_url": url} if url else {}
    return {**created, "action": "created", **extra, "shell_command": f"createos sandbox shell {reference}"}


def _prose(created: JsonObject, output: Output) -> Iterator[str]:
    url = created.get("ingress_url_template") or ""
    pause_s = created.get("auto_pause_after_seconds")
    yield output.paint("Ready.", "green") + f" Sandbox {label(created)}"
    rows = [("Size", "shape"), ("Image", "rootfs"), ("IP", "ip")]
    yield from output.facts([(title, str(created.get(key) or "")) for title, key in rows])
    yield from output.facts([("Public URL", url)])
    if url:
        yield "  Replace <port> by the port your program listens on."
    if pause_s:
        yield f"  It pauses after {short_duration(int(pause_s))} without activity."
    yield f"Run something: createos sandbox exec {created.get('name') or created.get('id')} -- uname -a"


def _asked(session: Session, given: Answers) -> Answers:
    if not session.interactive:
        hint = "see createos sandbox shapes; for example: createos sandbox create --shape s-1vcpu-256mb"
        raise Usage("create needs --shape", hint=hint)
    from createos_cli.commands.wizard import complete

    return complete(session, given)


def _split_hosts(texts: Sequence[str]) -> list[str]:
    return [host.strip() for text in texts for host in text.split(",") if host.strip()]


def _parse_disk(text: str) -> JsonObject:
    disk, _, path = text.partition(":")
    if not disk or not path:
        raise Usage(f"--disk {text} is not NAME:/PATH", hint="for example: --disk my-disk:/mnt/data")
    return {"disk_id": disk, "mount_path": path}
