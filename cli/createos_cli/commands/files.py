"""`push` and `pull`: files and directories into and out of a sandbox (cli-behaviour 6.1, 6.2)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, BinaryIO
from urllib.parse import quote

import typer

from createos_cli.client import segment
from createos_cli.errors import ApiFailure, CliError, Usage
from createos_cli.meter import Meter
from createos_cli.resolve import resolve
from createos_cli.session import Session

PIECE_BYTES = 262_144
STREAM = "-"
PUSH_EXAMPLES = """\b
Examples:
  createos sandbox push my-box ./app.py /root/app.py
  createos sandbox push my-box ./src /root/src --exclude node_modules
  tar -cz src | createos sandbox push my-box - /root/src.tgz
  createos sandbox push my-box big.iso /root/big.iso --stats"""
PULL_EXAMPLES = """\b
Examples:
  createos sandbox pull my-box /root/result.json ./result.json
  createos sandbox pull my-box /root/results ./results
  createos sandbox pull my-box /var/log/app.log - | tail"""

Sandbox = Annotated[str, typer.Argument(metavar="SANDBOX", help="Name or id.")]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="Of a directory: leave out, as in .gitignore; repeatable."),
]


def register(group: typer.Typer) -> None:
    """Add the commands of this file."""
    group.command("push|upload|cp-up", epilog=PUSH_EXAMPLES)(push)
    group.command("pull|download|cp-down", epilog=PULL_EXAMPLES)(pull)


def push(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    local: Annotated[str, typer.Argument(metavar="LOCAL", help="A file or directory, - for stdin.")] = "",
    remote: Annotated[str, typer.Argument(metavar="REMOTE", help="Absolute path in the sandbox.")] = "",
    stats: Annotated[bool, typer.Option("--stats", help="Also print time and average speed.")] = False,
    exclude: Exclude = None,
) -> int:
    """Copy a file or directory into a sandbox.

    A file has at most 500 MB; the old one stays until all of the new one is there. What is in a directory is copied
    into REMOTE, which may exist already; other files in it stay.
    """
    session: Session = ctx.obj
    _require("push", sandbox, local, remote, "createos sandbox push my-box ./app.py /root/app.py")
    if local != STREAM and Path(local).is_dir():
        from createos_cli.commands.directories import push_directory, wanted_copy

        wanted = wanted_copy(session, sandbox, local, remote, exclude or ())
        return push_directory(session, wanted, Meter(local, None, _bar(session)))
    source, size = _source(session, local)
    with source:
        chosen = resolve(session.client, sandbox)
        meter = Meter(local, size, _bar(session))
        session.client.upload(_path(chosen, remote), meter.through(_pieces(source)), size)
    document = {"action": "pushed", "sandbox_id": chosen, "path": remote, "bytes": meter.bytes}
    prose = [f"Pushed {local} to {sandbox}:{remote}" + (f" ({meter.summary})" if stats else f" ({meter.bytes} bytes)")]
    session.output.show(document, prose)
    return 0


def pull(
    ctx: typer.Context,
    sandbox: Sandbox = "",
    remote: Annotated[str, typer.Argument(metavar="REMOTE", help="Absolute path in the sandbox.")] = "",
    local: Annotated[str, typer.Argument(metavar="LOCAL", help="A file or directory, - for stdout.")] = "",
    exclude: Exclude = None,
) -> int:
    """Copy a file or directory out of a sandbox.

    What is in a directory is copied into LOCAL, which may exist already; other files in it stay.
    """
    session: Session = ctx.obj
    _require("pull", sandbox, local, remote, "createos sandbox pull my-box /root/result.json ./result.json")
    try:
        return _pull_file(session, sandbox, remote, local)
    except ApiFailure as exc:
        # Only the sandbox knows what a path is; a file, the usual case, is not asked about beforehand.
        if local == STREAM or exc.status != HTTPStatus.BAD_REQUEST:
            raise
        from createos_cli.commands.directories import pull_directory, wanted_copy

        wanted = wanted_copy(session, sandbox, local, remote, exclude or ())
        if (code := pull_directory(session, wanted, Meter(remote, None, _bar(session)))) is None:
            raise
        return code


def _pull_file(session: Session, sandbox: str, remote: str, local: str) -> int:
    chosen = resolve(session.client, sandbox)
    size, pieces = session.client.download(_path(chosen, remote))
    if local != STREAM and Path(local).is_dir():
        raise Usage(f"{local} is a directory", hint=f"name a file: {Path(local) / Path(remote).name}")
    meter = Meter(remote, size, None if local == STREAM else _bar(session))
    if local == STREAM:
        for piece in meter.through(pieces):
            session.output.write(piece)
        _require_whole(meter, size, remote)
        return 0
    _save(Path(local), meter, meter.through(pieces), size, remote)
    document = {"action": "pulled", "sandbox_id": chosen, "path": remote, "local": local, "bytes": meter.bytes}
    session.output.show(document, [f"Pulled {sandbox}:{remote} to {local} ({meter.summary})"])
    return 0


def _require(verb: str, sandbox: str, local: str, remote: str, example: str) -> None:
    if not (sandbox and local and remote):
        raise Usage(f"{verb} needs three arguments", hint=f"for example: {example}")
    if not remote.startswith("/"):
        raise Usage(f"the path in the sandbox must begin with /, not {remote}", hint=f"for example: {example}")


def _source(session: Session, local: str) -> tuple[BinaryIO, int | None]:
    """Open what is to be sent and tell its size, None for a stream."""
    if local == STREAM:
        return session.around.stdin, None
    path = Path(local)
    try:
        file = path.open("rb")
    except OSError as exc:
        raise Usage(f"{local} cannot be read: {exc.strerror}", hint="name a file that you may read") from exc
    return file, os.fstat(file.fileno()).st_size or None


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    read = getattr(source, "read1", source.read)
    while piece := read(PIECE_BYTES):
        yield piece


def _save(target: Path, meter: Meter, pieces: Iterable[bytes], size: int | None, remote: str) -> None:
    """Write beside *target* first: a transfer that is cut leaves what was there."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        _require_whole(meter, size, remote)
        partial.replace(target)
    except OSError as exc:
        raise CliError(f"{target} cannot be written: {exc.strerror}", hint="name another file") from exc
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _require_whole(meter: Meter, size: int | None, remote: str) -> None:
    if size is not None and meter.bytes != size:
        raise CliError(f"only {meter.bytes} of {size} bytes of {remote} came", hint="pull it again")


def _bar(session: Session) -> BinaryIO | None:
    around = session.around
    return around.stderr if around.stdout_is_terminal and around.stderr_is_terminal else None


def _path(sandbox_id: str, remote: str) -> str:
    return f"/v1/sandboxes/{segment(sandbox_id)}/files?path={quote(remote, safe='/')}"
