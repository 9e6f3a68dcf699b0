"""`createos __names KIND [BEGINNING]`: what completion scripts ask. Quick, and silent whatever goes wrong."""

from __future__ import annotations

import os
import signal
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn

from createos_cli.client import JsonObject
from createos_cli.errors import CliError
from createos_cli.formats import printable
from createos_cli.session import Session

# As long as a person at a prompt waits; a daemon far away may be given longer.
DEADLINE_VARIABLE, DEADLINE_S = "CREATEOS_COMPLETION_DEADLINE_S", 0.7
MOST_S = 60.0
LISTED = 200
# A name is going to be a word of somebody's shell: nothing that a shell would read as more than that.
HARMLESS = frozenset(string.ascii_letters + string.digits + "._:@/+-")
OVER = ("destroyed", "failed", "destroying")

Rows = Iterable[tuple[str, str]]


class _TooLate(Exception):
    """The daemon took longer than a person at a prompt waits."""


def print_names(session: Session, words: Sequence[str]) -> int:
    """Write one line for each name: the name, a tab, what it is. Nothing at all when the daemon does not answer."""
    kind, beginning = [*words, "", ""][:2]
    signal.signal(signal.SIGALRM, _too_late)
    signal.setitimer(signal.ITIMER_REAL, _deadline_s())
    try:
        rows = list(_NAMES[kind](session, beginning)) if kind in _NAMES else []
    except (CliError, _TooLate):
        return 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    session.output.lines(
        f"{name}\t{' '.join(printable(text).split())}"
        for name, text in rows
        if name.startswith(beginning) and name and HARMLESS.issuperset(name)
    )
    return 0


def _sandboxes(session: Session, beginning: str) -> Iterator[tuple[str, str]]:
    key = "id" if beginning.startswith("sb-") else "name"
    for row in session.client.rows("/v1/sandboxes", limit=LISTED):
        if row.get("status") not in OVER:
            yield str(row.get(key) or row.get("id")), f"{row.get('status')}, {row.get('shape')}"


def _shapes(session: Session, _: str) -> Iterator[tuple[str, str]]:
    for row in session.client.rows("/v1/shapes", limit=LISTED):
        yield str(row.get("id")), f"{row.get('vcpu')} vCPU, {row.get('mem_mib')} MB"


def _rootfs(session: Session, _: str) -> Iterator[tuple[str, str]]:
    catalog: JsonObject = session.client.get("/v1/rootfs")
    described = {entry.get("name"): entry.get("description", "") for entry in catalog.get("entries") or []}
    for name in catalog.get("rootfs") or []:
        yield str(name), str(described.get(name, ""))


def _named(path: str) -> Callable[[Session, str], Rows]:
    def rows(session: Session, _: str) -> Rows:
        return [(str(row.get("name")), str(row.get("id"))) for row in session.client.rows(path, limit=LISTED)]

    return rows


_NAMES: dict[str, Callable[[Session, str], Rows]] = {
    "sandboxes": _sandboxes,
    "shapes": _shapes,
    "rootfs": _rootfs,
    "networks": _named("/v1/networks"),
    "disks": _named("/v1/disks"),
    "templates": _named("/v1/templates"),
}


def _deadline_s() -> float:
    try:
        wanted_s = float(os.environ.get(DEADLINE_VARIABLE, DEADLINE_S))
    except ValueError:
        return DEADLINE_S
    return wanted_s if 0 < wanted_s <= MOST_S else DEADLINE_S


def _too_late(*_: object) -> NoReturn:
    raise _TooLate
