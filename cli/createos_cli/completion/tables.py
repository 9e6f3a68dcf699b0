"""What a completion script has to look up, the same for every shell: five tables of patterns and lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from createos_cli.completion.tree import Entry, Flag, global_flags


@dataclass(frozen=True)
class Case:
    """What is written for a subject that fits one of the patterns; a `*` at an end of one stands for anything."""

    patterns: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One function of the script; *always* is written whatever the subject."""

    name: str
    cases: tuple[Case, ...]
    always: tuple[str, ...] = ()


def tables(root: Entry) -> list[Table]:
    """Return the tables of a program. Subjects are `PATH:WORD`, `PATH`, `PATH`, `PATH FLAG` and `PATH PLACE`."""
    entries = list(root.walk())
    everywhere = global_flags()
    return [
        Table("step", tuple(_steps(entries))),
        Table("commands", tuple(_commands(entries))),
        Table("flags", tuple(_flags(entries)), _flag_lines(everywhere)),
        Table("value", (*_values(entries), *_values_everywhere(everywhere))),
        Table("argument", tuple(_arguments(entries))),
    ]


def _steps(entries: Iterable[Entry]) -> Iterator[Case]:
    for entry in entries:
        for child in entry.children:
            yield Case(tuple(f"{entry.path}:{name}" for name in child.names), (child.path,))


def _commands(entries: Iterable[Entry]) -> Iterator[Case]:
    for entry in entries:
        if entry.children:
            yield Case((entry.path,), tuple(f"{child.names[0]}\t{child.sentence}" for child in entry.children))


def _flags(entries: Iterable[Entry]) -> Iterator[Case]:
    for entry in entries:
        if entry.flags:
            yield Case((entry.path,), _flag_lines(entry.flags))


def _values(entries: Iterable[Entry]) -> Iterator[Case]:
    for entry in entries:
        for flag in entry.flags:
            if flag.value:
                yield Case(tuple(f"{entry.path} {name}" for name in flag.names), (flag.value,))


def _values_everywhere(flags: Iterable[Flag]) -> Iterator[Case]:
    for flag in flags:
        if flag.value:
            yield Case(tuple(f"* {name}" for name in flag.names), (flag.value,))


def _arguments(entries: Iterable[Entry]) -> Iterator[Case]:
    for entry in entries:
        for place, kind in enumerate(entry.arguments):
            many = entry.repeats and place == len(entry.arguments) - 1
            yield Case((f"{entry.path} {'*' if many else place}",), (kind,))


def _flag_lines(flags: Iterable[Flag]) -> tuple[str, ...]:
    return tuple(f"{name}\t{flag.sentence}" for flag in flags for name in flag.names if name.startswith("--"))
