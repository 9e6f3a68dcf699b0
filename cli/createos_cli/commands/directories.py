"""Whole directories for `push` and `pull`, over the stream that `sync` uses: it works in any image."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from createos_cli.client import segment
from createos_cli.errors import CliError, Usage
from createos_cli.formats import printable
from createos_cli.meter import Meter
from createos_cli.resolve import resolve
from createos_cli.session import Session
from createos_cli.sync.confined import Judge, as_found, usable
from createos_cli.sync.copies import Copied, CountedTree, copy
from createos_cli.sync.entries import Side
from createos_cli.sync.failures import Disconnected, Refused
from createos_cli.sync.interruption import interruptible
from createos_cli.sync.link import Link
from createos_cli.sync.messages import Use
from createos_cli.sync.remote_tree import RemoteTree
from createos_cli.sync.skips import Skips

MOST_NAMED = 20


@dataclass(frozen=True)
class Copy:
    """One copy: which sandbox (*shown* as it was typed), the two directories, and what is left out."""

    sandbox_id: str
    shown: str
    local: Path
    remote: str
    skips: Skips


def wanted_copy(session: Session, sandbox: str, local: str, remote: str, exclude: Sequence[str]) -> Copy:
    """Return what the words of a command line mean."""
    skips = Skips(exclude, vcs=False)
    return Copy(resolve(session.client, sandbox), sandbox, Path(local), posixpath.normpath(remote), skips)


def push_directory(session: Session, wanted: Copy, meter: Meter) -> int:
    """Copy a directory into a sandbox; 1 when some of it is not there."""
    with _connected(session, wanted, as_found) as remote:
        _start(remote, wanted)
        copied = _run(wanted, remote, Side.REMOTE, meter)
    ends = (str(wanted.local), f"{wanted.shown}:{wanted.remote}")
    return _show(session, wanted, "pushed", copied, f"Pushed {ends[0]} to {ends[1]}", meter)


def pull_directory(session: Session, wanted: Copy, meter: Meter) -> int | None:
    """Copy a directory out of a sandbox; 1 when some of it is not here, None when there is no such directory."""
    with _connected(session, wanted, usable) as remote:
        try:
            remote.start(wanted.remote, create=False, user="root", use=Use.COPY)
        except Refused:
            return None
        _make(wanted.local)
        copied = _run(wanted, remote, Side.LOCAL, meter)
    ends = (f"{wanted.shown}:{wanted.remote}", str(wanted.local))
    return _show(session, wanted, "pulled", copied, f"Pulled {ends[0]} to {ends[1]}", meter)


@contextmanager
def _connected(session: Session, wanted: Copy, judge: Judge) -> Iterator[RemoteTree]:
    link = Link(session.client.upgrade(f"/v1/sandboxes/{segment(wanted.sandbox_id)}/sync"))
    with interruptible(), closing(RemoteTree(link, wanted.skips, judge)) as remote:
        try:
            yield remote
        except Disconnected as exc:
            hint = "what had been copied is in its place; start the same command again for the rest"
            raise CliError(f"the connection to the sandbox is gone: {exc}", hint=hint) from exc


def _start(remote: RemoteTree, wanted: Copy) -> None:
    try:
        remote.start(wanted.remote, create=True, user="root", use=Use.COPY)
    except Refused as exc:
        hint = f"look with: createos sandbox exec {wanted.shown} -- ls -ld {wanted.remote}"
        raise CliError(f"nothing was copied to {wanted.remote}: {exc}", hint=hint) from exc


def _make(target: Path) -> None:
    try:
        target.mkdir(exist_ok=True)
    except FileNotFoundError as exc:
        raise Usage(f"{target.parent} does not exist", hint="make it first, or name another directory") from exc
    except FileExistsError as exc:
        raise Usage(f"{target} is a file; a directory cannot take its place", hint="name another place") from exc
    except OSError as exc:
        raise CliError(f"{target} cannot be made: {exc.strerror}", hint="name another directory") from exc


def _run(wanted: Copy, remote: RemoteTree, to: Side, meter: Meter) -> Copied:
    with _local(wanted, meter) as tree:
        tree.sweep()
        try:
            return copy(tree, remote, to, meter.expect)
        finally:
            meter.erase()


@contextmanager
def _local(wanted: Copy, meter: Meter) -> Iterator[CountedTree]:
    try:
        tree = CountedTree(os.path.realpath(wanted.local), wanted.skips, meter.count)
    except OSError as exc:
        raise CliError(f"{wanted.local} cannot be opened: {exc.strerror}", hint="check who owns it") from exc
    with closing(tree):
        yield tree


def _show(session: Session, wanted: Copy, action: str, copied: Copied, done: str, meter: Meter) -> int:
    document = {
        "action": action,
        "sandbox_id": wanted.sandbox_id,
        "path": wanted.remote,
        "local": str(wanted.local),
        "files": copied.files,
        "bytes": copied.bytes,
        "skipped": [{"path": path, "reason": why} for path, why in sorted(copied.left.items())],
    }
    files = "1 file" if copied.files == 1 else f"{copied.files} files"
    session.output.show(document, [f"{done} ({files}, {meter.summary})"])
    _warn(session, copied.left)
    return 1 if copied.left else 0


def _warn(session: Session, left: dict[str, str]) -> None:
    shown: Sequence[str] = sorted(left)[:MOST_NAMED]
    for path in shown:
        session.output.fail_line(f"{printable(path)} was not copied: {left[path]}")
    if len(left) > len(shown):
        session.output.remark(f"… and {len(left) - len(shown)} more; --output json names them all")
