"""`createosd ephemeral`: a private engine for one command, and no trace of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vm.engine import wait_for

CREATEOSD = [sys.executable, "-m", "createos_engine.main", "ephemeral", "--netns"]
REPOSITORY = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "CREATEOS_DEFAULT_ROOTFS": "busybox:1"}


def traces() -> set[str]:
    """Return what ephemeral engines have on this host: directories and machines."""
    places = (Path("/run"), Path("/var/tmp"))
    directories = {str(path) for place in places for path in place.glob("createos-????????")}
    found = subprocess.run(["pgrep", "--full", "guest=createos-"], capture_output=True, text=True, check=False)
    return directories | set(found.stdout.split())


@pytest.fixture(autouse=True)
def _leaves_no_trace() -> object:
    before = traces()
    yield
    wait_for(lambda: traces() <= before, 10, f"left behind: {traces() - before}")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    argv = [*CREATEOSD, "--", *command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=1700)


def test_the_exit_code_is_the_commands_and_it_finds_the_engine() -> None:
    done = run("/bin/sh", "-c", 'echo "$CREATEOS_SANDBOX_URL ${CREATEOS_API_KEY%%_*}"; exit 7')

    assert done.returncode == 7
    assert done.stdout.startswith("http://127.0.0.1:")
    assert done.stdout.endswith(" skp\n")


def test_sandboxes_of_the_command_end_with_it() -> None:
    createos = str(Path(sys.executable).parent / "createos")

    done = run(createos, "sandbox", "create", "--shape", "s-1vcpu-256mb", "--name", "left-behind")

    assert done.returncode == 0, done.stderr
    assert '"status": "running"' in done.stdout


def test_a_command_that_does_not_exist_is_127() -> None:
    done = run("/no/such/command")

    assert (done.returncode, "no such command" in done.stderr) == (127, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_and_the_engine(number: signal.Signals, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with subprocess.Popen(
        [*CREATEOSD, "--", "/bin/sh", "-c", f"echo > {begun}; exec sleep 100"], env=ENVIRONMENT
    ) as it:
        wait_for(begun.exists, 60, "the command was not started")

        it.send_signal(number)

        assert it.wait(300) == 128 + number


# Everything of the contract that the SDK has a method for.
TOPICS = ("", "_networks", "_egress", "_people", "_processes", "_snapshots", "_templates")


@pytest.mark.timeout(1800)
def test_the_official_sdk_works_against_it() -> None:
    files = [str(REPOSITORY / f"tests/contract/test_sdk{topic}.py") for topic in TOPICS]

    done = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files)

    assert done.returncode == 0, done.stdout[-4000:]
