"""The lifecycle allows the steps of wire-api 5.5 and no others."""

from __future__ import annotations

from itertools import product

import pytest
from createos_engine.errors import Conflict
from createos_engine.lifecycle import ALLOWED, TERMINAL, move, require_running
from createos_engine.words import State


@pytest.mark.parametrize(("current", "wanted"), list(product(State, State)))
def test_every_pair_of_states_is_either_allowed_or_a_conflict(current: State, wanted: State) -> None:
    if wanted in ALLOWED[current]:
        assert move(current, wanted) is wanted
    else:
        with pytest.raises(Conflict, match=f"sandbox is {current}"):
            move(current, wanted)


def test_only_destroyed_and_failed_are_terminal() -> None:
    assert {State.DESTROYED, State.FAILED} == TERMINAL


@pytest.mark.parametrize("state", sorted(set(State) - TERMINAL - {State.DESTROYING}))
def test_every_live_sandbox_can_be_destroyed(state: State) -> None:
    assert move(state, State.DESTROYING) is State.DESTROYING


@pytest.mark.parametrize("state", sorted(set(State) - {State.RUNNING}))
def test_programs_run_only_in_running_sandboxes(state: State) -> None:
    with pytest.raises(Conflict, match=f"^sandbox is {state}$"):
        require_running(state)
