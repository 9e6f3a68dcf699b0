"""The daemon ends, politely or not; sandboxes go on, and nothing is left of what was half done."""

from __future__ import annotations

import os
import signal
import threading

import httpx
import pytest

from tests.vm.engine import LiveEngine, wait_for

pytestmark = [pytest.mark.vm, pytest.mark.root]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_running_sandboxes_survive_the_daemon_and_are_reachable_again(
    engine: LiveEngine, number: signal.Signals
) -> None:
    box = engine.create(name="survivor")
    box.sh("echo before > /root/file; sleep 1000 >/dev/null 2>&1 </dev/null & echo $! > /root/pid")
    machine = engine.machines()[box.id]

    engine.signal(number)
    engine.start()

    assert engine.machines() == {box.id: machine}
    assert box.view()["status"] == "running"
    assert box.sh("cat /root/file; kill -0 $(cat /root/pid) && echo alive") == "before\nalive\n"
    assert engine.discrepancies() == []


@pytest.mark.parametrize("delay_s", [0.05, 0.6, 1.5, 3.0])
def test_a_create_that_was_cut_off_is_rolled_back(engine: LiveEngine, delay_s: float) -> None:
    thread = threading.Thread(target=_create_quietly, args=(engine,))
    thread.start()
    threading.Event().wait(delay_s)

    engine.signal(signal.SIGKILL)
    thread.join()
    engine.start()

    assert set(engine.rows().values()) <= {"failed", "running"}
    assert engine.discrepancies() == []


def test_a_destroy_that_was_cut_off_is_finished(engine: LiveEngine) -> None:
    box = engine.create(name="doomed")
    engine.call("DELETE", f"/v1/sandboxes/{box.id}")

    engine.signal(signal.SIGKILL)
    engine.start()

    assert engine.rows() == {box.id: "destroyed"}
    assert engine.discrepancies() == []


def test_a_machine_that_dies_becomes_an_error_with_reason_and_keeps_its_disk(engine: LiveEngine) -> None:
    box = engine.create(name="fragile")

    os.kill(engine.machines()[box.id], signal.SIGKILL)

    wait_for(lambda: box.view()["status"] == "error", 15, "the death was not noticed")
    assert "ended by itself" in box.view()["reason"]
    assert (engine.state / "sandboxes" / box.id / "overlay.qcow2").exists()
    answer = engine.http.post(f"/v1/sandboxes/{box.id}/exec", json={"cmd": "true"})
    assert (answer.status_code, answer.json()["data"]) == (409, "sandbox is error")


def test_a_machine_that_dies_while_it_boots_fails_its_create_at_once(engine: LiveEngine) -> None:
    answers: list[httpx.Response] = []
    wish = {"shape": "s-1vcpu-256mb", "name": "stillborn"}
    thread = threading.Thread(target=lambda: answers.append(engine.http.post("/v1/sandboxes", json=wish)))
    thread.start()
    machine = wait_for(engine.machines, 20, "no machine was started")
    threading.Event().wait(1.2)  # libvirt's own part of the start is over, the guest's is not

    os.kill(next(iter(machine.values())), signal.SIGKILL)

    thread.join(300)
    assert not thread.is_alive()
    assert answers[0].status_code == 500
    # On a busy host libvirt may still be at its own part of the start.
    said = answers[0].json()["data"]
    assert "ended by itself while it booted" in said or "was not started" in said
    assert engine.discrepancies() == []


def test_a_machine_that_dies_while_the_daemon_is_down_is_noticed_at_its_start(engine: LiveEngine) -> None:
    box = engine.create(name="fragile")
    machine = engine.machines()[box.id]
    engine.signal(signal.SIGKILL)

    os.kill(machine, signal.SIGKILL)
    wait_for(lambda: not engine.machines(), 15, "the machine is still there")
    engine.start()

    assert box.view()["status"] == "error"
    assert engine.taps() == set()


def test_a_guest_that_shuts_itself_down_is_an_error_that_says_so(engine: LiveEngine) -> None:
    box = engine.create(name="sleepy")

    # Whether the answer still gets out does not matter.
    engine.http.post(f"/v1/sandboxes/{box.id}/exec", json={"cmd": "poweroff", "args": ["-f"]})

    wait_for(lambda: box.view()["status"] == "error", 15, "the end was not noticed")
    assert "the guest shut down" in box.view()["reason"]


def _create_quietly(engine: LiveEngine) -> None:
    try:
        engine.http.post("/v1/sandboxes", json={"shape": "s-1vcpu-256mb", "name": "cut-off"})
    except httpx.TransportError:
        return
