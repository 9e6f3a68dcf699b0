"""A guest that prints without end does not fill the host's disk."""

from __future__ import annotations

from tests.vm.engine import live_engine, wait_for


def test_a_console_log_stays_small_however_much_the_guest_prints() -> None:
    with live_engine(reconcile_every_s=1) as engine:
        box = engine.create(name="chatty")
        console = engine.state / "sandboxes" / box.id / "console.log"

        box.sh("yes 'all work and no play' | head -c 1500000 > /dev/ttyS0")

        wait_for(lambda: "console log cut short" in engine.log_tail(), 20, "the log was not cut")
        box.sh("echo still here > /dev/ttyS0")
        wait_for(lambda: b"still here" in console.read_bytes(), 5, "nothing is logged any more")
        assert console.stat().st_size < 2**20
