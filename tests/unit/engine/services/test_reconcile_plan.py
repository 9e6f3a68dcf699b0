"""What reconcile decides, seen without a host."""

from __future__ import annotations

import pytest
from createos_engine.services.plan import HostFacts, Plan, plan
from createos_engine.words import State

from tests.fakes.rows import sandbox

NOTHING = HostFacts(machines={}, slots=frozenset(), directories=frozenset())
NOBODY: frozenset[str] = frozenset()


def facts(*owners: str, slots: tuple[int, ...] = (), directories: tuple[str, ...] = ()) -> HostFacts:
    return HostFacts({f"vm-{owner}": owner for owner in owners}, frozenset(slots), frozenset(directories))


def test_a_running_machine_without_a_connected_agent_is_adopted() -> None:
    row = sandbox(id="sb-1", state=State.RUNNING)

    assert plan([row], facts("sb-1", slots=(1,)), connected=NOBODY, busy=NOBODY) == Plan(adopt=(row,))


def test_nothing_is_done_when_all_is_well() -> None:
    row = sandbox(id="sb-1", state=State.RUNNING)
    host = facts("sb-1", slots=(1,), directories=("sb-1",))

    assert plan([row], host, connected=frozenset({"sb-1"}), busy=NOBODY) == Plan()


def test_a_running_sandbox_without_a_machine_is_lost() -> None:
    row = sandbox(id="sb-1", state=State.RUNNING)

    assert plan([row], NOTHING, connected=NOBODY, busy=NOBODY).lost == (row,)


def test_a_create_nobody_works_on_is_unfinished() -> None:
    row = sandbox(id="sb-1", state=State.CREATING)

    assert plan([row], facts("sb-1", slots=(1,)), connected=NOBODY, busy=NOBODY) == Plan(unfinished=(row,))


@pytest.mark.parametrize("state", [State.CREATING, State.RUNNING, State.DESTROYING])
def test_what_an_operation_has_in_hand_is_left_alone(state: State) -> None:
    row = sandbox(id="sb-1", state=state)

    assert plan([row], facts(slots=(1,)), connected=NOBODY, busy=frozenset({"sb-1"})) == Plan()


@pytest.mark.parametrize("state", [State.DESTROYED, State.FAILED])
def test_what_an_ended_sandbox_left_is_removed(state: State) -> None:
    row = sandbox(id="sb-1", state=state)
    host = facts("sb-1", slots=(1,), directories=("sb-1",))

    assert plan([row], host, connected=NOBODY, busy=NOBODY) == Plan(
        orphan_machines=("vm-sb-1",), orphan_slots=(1,), leftover_directories=("sb-1",)
    )


def test_a_machine_that_no_row_knows_is_an_orphan() -> None:
    assert plan([], facts("sb-9"), connected=NOBODY, busy=NOBODY).orphan_machines == ("vm-sb-9",)


def test_a_directory_that_no_row_knows_is_reported_and_kept() -> None:
    todo = plan([], facts(directories=("sb-9",)), connected=NOBODY, busy=NOBODY)

    assert (todo.unknown_directories, todo.leftover_directories) == (("sb-9",), ())


def test_the_disk_of_a_sandbox_in_error_stays() -> None:
    row = sandbox(id="sb-1", state=State.ERROR)

    assert plan([row], facts(directories=("sb-1",)), connected=NOBODY, busy=NOBODY) == Plan()


def test_a_machine_that_stands_by_is_nobodys_orphan() -> None:
    host = facts("sb-next", slots=(7,), directories=("sb-next",))

    todo = plan([], host, connected=NOBODY, busy=NOBODY, guests=frozenset({"sb-next"}), owned=frozenset({7}))

    assert todo == Plan()
