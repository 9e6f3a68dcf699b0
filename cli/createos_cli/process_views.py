"""How managed processes look to people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from createos_cli.client import JsonObject
from createos_cli.formats import TABLE_TIME, local_time, size
from createos_cli.output import Output
from createos_cli.session import Session
from createos_cli.tables import Column, table


def exit_code(found: JsonObject) -> int:
    """Return what the command line is to exit with."""
    code = found.get("exit_code")
    return code if isinstance(code, int) else 0


def show(session: Session, found: JsonObject) -> None:
    """Print one process."""
    session.output.show(found, _facts(found, session.output))


def _facts(found: JsonObject, output: Output) -> Iterator[str]:
    yield output.paint(str(found.get("process_id", "")), "bold")
    command = " ".join(map(str, (found.get("cmd", ""), *(found.get("args") or []))))
    rows = [
        ("State", str(found.get("state", ""))),
        ("Kind", str(found.get("kind", ""))),
        ("PID", str(found.get("pid") or "")),
        ("Command", command),
        ("Directory", str(found.get("cwd") or "")),
        ("Exit", _exit(found)),
        ("Created", local_time(found.get("created_at"))),
        ("Finished", local_time(found.get("finished_at"))),
    ]
    yield from output.facts(rows)


def _exit(found: JsonObject) -> str:
    return str(found.get("signal") or ("" if found.get("exit_code") is None else found["exit_code"]))


def process_table(rows: Sequence[JsonObject], output: Output) -> Iterator[str]:
    """Describe processes, one line each under a header."""
    names = ("ID", "Kind", "PID", "State", "Exit", "Command", "Output", "Created")
    cells = [
        [
            str(row.get("process_id", "")),
            str(row.get("kind", "")),
            str(row.get("pid") or ""),
            str(row.get("state", "")),
            _exit(row),
            " ".join(map(str, (row.get("cmd", ""), *(row.get("args") or [])))),
            size(int((row.get("output") or {}).get("bytes", 0))),
            local_time(row.get("created_at"), TABLE_TIME),
        ]
        for row in rows
    ]
    yield from table(tuple(Column(name) for name in names), cells, output.limit)
