"""What reconcile decides, as a pure function of the rows and of what the host has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from createos_engine.lifecycle import TERMINAL
from createos_engine.words import Sandbox, State


@dataclass(frozen=True)
class HostFacts:
    """What the host has of ours: running machines and slots with a link or rules, directories by sandbox id."""

    machines: dict[str, str]
    slots: frozenset[int]
    directories: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """What to do. Machines are domain names, slots are numbers, the rest are rows."""

    adopt: tuple[Sandbox, ...] = ()
    lost: tuple[Sandbox, ...] = ()
    unfinished: tuple[Sandbox, ...] = ()
    destroy: tuple[Sandbox, ...] = ()
    orphan_machines: tuple[str, ...] = ()
    orphan_slots: tuple[int, ...] = ()
    leftover_directories: tuple[str, ...] = ()
    unknown_directories: tuple[str, ...] = ()


UNFINISHED = frozenset({State.CREATING, State.PAUSING, State.RESUMING, State.FORKING})
WITHOUT_MACHINE = frozenset({State.ERROR, State.PAUSED})


def plan(
    rows: Iterable[Sandbox],
    host: HostFacts,
    *,
    connected: frozenset[str],
    busy: frozenset[str],
    guests: frozenset[str] = frozenset(),
    owned: frozenset[int] = frozenset(),
) -> Plan:
    """Compare the rows with the host. Touches nothing.

    *connected* are the ids whose agent answers already, *busy* those that an operation has in hand, *guests* those of
    machines that are no sandboxes and yet ours, *owned* the slots of whoever. A directory that no row knows is
    somebody's data: it is reported and never deleted.
    """
    known = {row.id: row for row in rows}
    live = {row.id: row for row in known.values() if row.state not in TERMINAL}
    idle = [row for row in live.values() if row.id not in busy]
    ended = known.keys() - live.keys()
    running = frozenset(host.machines.values())
    has_machine = {row.id for row in live.values() if row.state not in WITHOUT_MACHINE} | guests
    slots = {row.slot for row in live.values()}
    expected = [row for row in idle if row.state is State.RUNNING]
    return Plan(
        adopt=tuple(row for row in expected if row.id in running and row.id not in connected),
        lost=tuple(row for row in expected if row.id not in running),
        unfinished=tuple(row for row in idle if row.state in UNFINISHED),
        destroy=tuple(row for row in idle if row.state is State.DESTROYING),
        orphan_machines=tuple(sorted(name for name, owner in host.machines.items() if owner not in has_machine)),
        orphan_slots=tuple(sorted(host.slots - slots - owned)),
        leftover_directories=tuple(sorted(host.directories & ended)),
        unknown_directories=tuple(sorted(host.directories - known.keys() - guests)),
    )
