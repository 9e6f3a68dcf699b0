"""A guest asks for its own pause and end, through the port and the FIFO, as the clients of the contract do."""

from __future__ import annotations

import signal

from tests.vm.engine import Box, LiveEngine, wait_for

# busybox's wget shows neither status nor body of a refusal; a raw request shows both.
ASK = """printf '{method} {path} HTTP/1.0\\r\\n\\r\\n' | nc 127.0.0.1 1029"""


def ask(box: Box, path: str, method: str = "POST") -> str:
    """Return what the guest's own door answers, head and body."""
    return box.sh(ASK.format(method=method, path=path))


def test_other_paths_and_methods_are_said_what_they_are(box: Box) -> None:
    assert ask(box, "/self/nothing").startswith("HTTP/1.1 404 ")
    refused = ask(box, "/self/delete", method="GET")

    assert refused.startswith("HTTP/1.1 405 ")
    assert "Allow: POST" in refused


def test_the_door_is_on_loopback_alone(box: Box) -> None:
    address = box.view()["ip"]

    outside = box.exec("/bin/sh", "-c", f"echo | nc {address} 1029")

    assert (outside["exit_code"], outside["stdout"]) == (1, "")
    assert "refused" in outside["stderr"]


def test_a_sandbox_deletes_itself_and_its_row_says_so(engine: LiveEngine) -> None:
    box = engine.create(name="quitter")

    with box.stream("/bin/sh", "-c", ASK.format(method="POST", path="/self/delete?reason=all+done")) as frames:
        answer = next(frame["stdout"] for frame in frames if "stdout" in frame)

    assert answer.startswith("HTTP/1.1 202 Accepted\r\n")
    wait_for(lambda: engine.rows()[box.id] == "destroyed", 30, "the sandbox did not end")
    assert box.view()["reason"] == "it asked for its own end: all done"


def test_a_sandbox_pauses_itself_and_reads_its_answer_after_the_resume(engine: LiveEngine) -> None:
    box = engine.create(name="sleeper")
    box.exec("/bin/sh", "-c", f"({ASK.format(method='POST', path='/self/pause')} > /root/said) </dev/null >/dev/null &")

    wait_for(lambda: engine.rows()[box.id] == "paused", 30, "the sandbox did not pause")
    box.resume()

    said = wait_for(lambda: box.sh("cat /root/said"), 30, "there is no answer")
    assert said.startswith("HTTP/1.1 202 ")
    assert ask(box, "/self/nothing").startswith("HTTP/1.1 404 ")
    box.destroy()


def test_after_a_killed_daemon_the_fifo_still_reaches_the_next_one(engine: LiveEngine) -> None:
    box = engine.create(name="retiree")
    engine.signal(signal.SIGKILL)
    engine.start()

    box.exec("/bin/sh", "-c", "echo retire > /run/self")

    wait_for(lambda: engine.rows()[box.id] == "destroyed", 30, "the sandbox did not end")
    assert "/run/self" in box.view()["reason"]


def test_without_a_daemon_a_request_is_refused_and_not_done_later(engine: LiveEngine) -> None:
    box = engine.create(name="patient")
    delete = ASK.format(method="POST", path="/self/delete")
    # The guest notices the daemon's end by its DNS.
    script = f"while nc -w 60 169.254.77.1 53; do sleep 0.1; done; sleep 1; {delete} > /dev/console"
    box.exec("/bin/sh", "-c", f"({script}) </dev/null >/dev/null 2>&1 &")
    engine.signal(signal.SIGKILL)
    console = engine.state / "sandboxes" / box.id / "console.log"

    wait_for(lambda: b"HTTP/1.1 503 " in console.read_bytes(), 20, "the guest was not refused")
    engine.start()

    assert box.sh("echo alive") == "alive\n"
    box.destroy()
