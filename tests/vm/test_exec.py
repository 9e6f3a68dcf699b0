"""Programs in a real guest, through the API."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.vm.engine import Box, wait_for

MIB = 2**20


def test_output_streams_and_exit_code_come_back_apart(box: Box) -> None:
    result = box.exec("/bin/sh", "-c", "echo out; echo err >&2; exit 7")

    assert result == {"stdout": "out\n", "stderr": "err\n", "exit_code": 7}


def test_arguments_reach_the_program_as_they_are(box: Box) -> None:
    awkward = ["a b", "$HOME", "'", '"', "", "ünï", "*"]

    assert box.exec("printf", "%s\\n", *awkward)["stdout"].splitlines() == awkward


def test_stdin_is_the_whole_input(box: Box) -> None:
    assert box.exec("wc", "-c", stdin="x" * 300_000)["stdout"].strip() == "300000"


def test_absent_stdin_is_an_empty_input(box: Box) -> None:
    assert box.exec("cat")["stdout"] == ""


def test_a_declared_variable_can_be_overridden_for_one_run(box: Box) -> None:
    assert box.exec("/bin/sh", "-c", "echo $DECLARED", env={"DECLARED": "now"})["stdout"] == "now\n"
    assert box.sh("echo $DECLARED") == "at create\n"


def test_an_undeclared_variable_is_refused_and_the_declared_ones_are_named(box: Box) -> None:
    answer = box.engine.http.post(f"/v1/sandboxes/{box.id}/exec", json={"cmd": "true", "env": {"OTHER": "x"}})

    assert answer.status_code == 400
    assert "OTHER was not declared" in answer.json()["data"]["env"]
    assert "DECLARED" in answer.json()["data"]["env"]


@pytest.mark.parametrize(
    ("cmd", "code", "said"), [("/no/such/program", 127, "not"), ("nowhere-in-path", 127, "not"), ("/etc", 126, "")]
)
def test_a_program_that_cannot_be_started_is_named(box: Box, cmd: str, code: int, said: str) -> None:
    result = box.exec(cmd)

    assert result["exit_code"] == code
    assert cmd in result["error"]
    assert said in result["error"]


def test_a_program_killed_by_a_signal_has_128_and_its_number(box: Box) -> None:
    assert box.exec("/bin/sh", "-c", "kill -9 $$")["exit_code"] == 137


def test_the_call_lasts_until_everything_holding_the_output_has_ended(box: Box) -> None:
    begun = time.monotonic()

    result = box.exec("/bin/sh", "-c", "(sleep 1; echo late) & echo early")

    assert result["stdout"] == "early\nlate\n"
    assert time.monotonic() - begun >= 1


def test_undecodable_output_is_replaced_not_lost(box: Box) -> None:
    assert box.exec("printf", "a\\377b")["stdout"] == "a\ufffdb"


@pytest.fixture(scope="module")
def flood(box: Box) -> str:
    """A file of 8 MiB of `yes`: to print it over and over is quicker under emulation than to say yes."""
    box.sh("yes | head -c 1048576 >/tmp/yes; cd /tmp; for i in 1 2 3; do cat yes yes >more; mv more yes; done")
    return "/tmp/yes"


def test_output_beyond_the_limit_is_cut_said_so_and_not_kept_in_memory(box: Box, flood: str) -> None:
    before = box.engine.memory_mib()
    box.engine.forget_peak()

    result = box.exec("/bin/sh", "-c", 'cat "$@"; exit 3', "sh", *[flood] * 6)

    assert len(result["stdout"]) == 16 * MIB
    assert result["exit_code"] == 3
    assert "stdout cut" in result["error"]
    assert box.engine.memory_mib("VmHWM") - before < 160


def test_a_gigabyte_that_its_client_does_not_read_waits_in_the_guest(box: Box, flood: str) -> None:
    before = box.engine.memory_mib()
    box.engine.forget_peak()
    with box.stream("/bin/sh", "-c", 'echo $$ >/tmp/cat.pid; exec cat "$@"', "sh", *[flood] * 128) as frames:
        next(frame for frame in frames if "stdout" in frame)

        printed = _stuck_at(box)

        assert printed < 32 * MIB
        assert box.engine.memory_mib("VmHWM") - before < 32


def _stuck_at(box: Box) -> int:
    """Return how many bytes the program has printed when it prints no more."""
    seen = [-1]

    def stuck() -> bool:
        fields = box.sh("cat /proc/$(cat /tmp/cat.pid)/io").split()
        seen.append(int(fields[fields.index("wchar:") + 1]))
        return seen[-1] == seen[-2] > 0

    wait_for(stuck, 30, "it prints on")
    return seen[-1]


def test_frames_come_while_the_program_runs(box: Box) -> None:
    box.sh("mkfifo /tmp/gate")
    with box.stream("/bin/sh", "-c", "echo one; read line < /tmp/gate; echo $line") as frames:
        first = next(frame for frame in frames if "hb" not in frame)
        box.sh("echo two > /tmp/gate")
        rest = [frame for frame in frames if "hb" not in frame]

    assert [first, *rest] == [{"stdout": "one\n"}, {"stdout": "two\n"}, {"exit_code": 0}]


def test_a_client_that_leaves_ends_its_program(box: Box) -> None:
    with box.stream("/bin/sh", "-c", "echo $$ > /tmp/left.pid; echo here; exec sleep 1000") as frames:
        next(frame for frame in frames if "stdout" in frame)
    pid = box.sh("cat /tmp/left.pid").strip()

    wait_for(lambda: box.exec("test", "-d", f"/proc/{pid}")["exit_code"] == 1, 10, "the program goes on")


def test_many_programs_run_at_once(box: Box) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(lambda n: box.sh(f"sleep 0.2; echo {n}"), range(10)))

    assert results == [f"{n}\n" for n in range(10)]


def test_two_hundred_idle_tunnels_leave_room_for_others_and_nothing_behind(box: Box) -> None:
    box.sh("mkdir -p /www; echo page >/www/index.html; httpd -p 127.0.0.1:8097 -h /www")
    memory, open_here, open_there = box.engine.memory_mib(), box.engine.descriptors(), _guests_descriptors(box)
    with ExitStack() as idle:
        for _ in range(200):
            idle.enter_context(box.tunnel(8097))

        with box.tunnel(8097) as busy:
            busy.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
            page = b"".join(iter(lambda: busy.recv(4096), b""))
        said = box.sh("echo here")

        assert page.endswith(b"page\n")
        assert said == "here\n"
        assert box.engine.memory_mib() - memory < 64
    wait_for(lambda: box.engine.descriptors() <= open_here, 30, "the daemon keeps descriptors")
    wait_for(lambda: _guests_descriptors(box) <= open_there, 30, "the guest keeps descriptors")


def _guests_descriptors(box: Box) -> int:
    return int(box.sh("ls /proc/1/fd | wc -l"))


def test_ten_thousand_arguments_and_one_of_a_mebibyte_are_told_from_each_other(box: Box) -> None:
    many = box.exec("/bin/sh", "-c", "echo $#", "sh", *(["x"] * 10_000))
    long = box.exec("/bin/sh", "-c", "head -c 1048576 /dev/zero | tr '\\0' x; echo")
    large = box.exec("echo", "x" * MIB)

    assert many["stdout"] == "10000\n"
    assert long["stdout"] == "x" * MIB + "\n"
    assert large["exit_code"] == 126
    assert "argument list too long" in large["error"]


def test_orphans_are_reaped(box: Box) -> None:
    box.sh("for i in 1 2 3 4 5; do (sleep 0.1 &); done")

    wait_for(lambda: box.sh("cat /proc/[0-9]*/stat | grep -c ') Z ' || true") == "0\n", 10, "they are not reaped")


def test_the_guest_has_its_name_clock_and_disk(box: Box) -> None:
    assert box.sh("hostname") == "shared\n"
    begun = time.time()
    assert begun - 5 < int(box.sh("date +%s")) < time.time() + 5
    size_mib = int(box.sh("df -m / | tail -1 | awk '{print $2}'"))
    assert 400 < size_mib <= 512
