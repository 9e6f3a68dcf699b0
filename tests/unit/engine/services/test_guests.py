"""The way into a running sandbox."""

from __future__ import annotations

from createos_engine.services.agents import Agents
from createos_engine.services.guests import Guests
from createos_engine.store.sandboxes import SandboxStore


def guests() -> Guests:
    """Return guests whose sandboxes do not matter here."""
    return Guests(SandboxStore.__new__(SandboxStore), Agents.__new__(Agents))


def test_a_sandbox_in_use_is_not_idle() -> None:
    known = guests()

    with known.use("sb-1"), known.use("sb-1"):
        assert known.idle_s("sb-1") == 0.0


def test_idleness_begins_when_the_last_use_ends() -> None:
    known = guests()

    with known.use("sb-1"):
        with known.use("sb-1"):
            pass
        assert known.idle_s("sb-1") == 0.0

    assert 0.0 <= known.idle_s("sb-1") < 60.0


def test_a_sandbox_nobody_used_has_been_idle_for_ever() -> None:
    assert guests().idle_s("sb-1") == float("inf")
