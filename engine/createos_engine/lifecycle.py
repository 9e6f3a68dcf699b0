"""Which state may follow which (wire-api 5.5). No other code decides that."""

from __future__ import annotations

from createos_engine.errors import Conflict
from createos_engine.words import State

ALLOWED: dict[State, frozenset[State]] = {
    State.CREATING: frozenset({State.RUNNING, State.FAILED, State.DESTROYING}),
    State.RUNNING: frozenset({State.PAUSING, State.ERROR, State.DESTROYING}),
    State.PAUSING: frozenset({State.PAUSED, State.RUNNING, State.ERROR, State.DESTROYING}),
    State.PAUSED: frozenset({State.RESUMING, State.ERROR, State.DESTROYING}),
    State.RESUMING: frozenset({State.RUNNING, State.PAUSED, State.ERROR, State.DESTROYING}),
    State.FORKING: frozenset({State.RESUMING, State.RUNNING, State.PAUSED, State.ERROR, State.DESTROYING}),
    State.ERROR: frozenset({State.RESUMING, State.DESTROYING}),
    State.DESTROYING: frozenset({State.DESTROYED}),
    State.DESTROYED: frozenset(),
    State.FAILED: frozenset(),
}

TERMINAL = frozenset(state for state, following in ALLOWED.items() if not following)


def move(current: State, wanted: State) -> State:
    """Return *wanted* if the lifecycle allows the step, else raise Conflict in the words clients look for."""
    if wanted not in ALLOWED[current]:
        raise Conflict(f"sandbox is {current}", hint=f"it cannot become {wanted}")
    return wanted


def require_running(state: State) -> None:
    """Raise Conflict unless programs can be run in a sandbox of this state."""
    if state is not State.RUNNING:
        raise Conflict(f"sandbox is {state}")


def require_alive(state: State) -> None:
    """Raise Conflict when a sandbox of this state has ended or is about to."""
    if state in TERMINAL or state is State.DESTROYING:
        raise Conflict(f"sandbox is {state}")
