"""`createosd ephemeral`: a private engine for one command, and no trace of it afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vm.engine import LiveEngine, wait_for

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


@pytest.fixture
def known(engine: LiveEngine) -> dict[str, str]:
    """Settings that say what the run's engine has found out about this machine: to find it out again takes seconds."""
    found = json.loads((engine.state / "probe.json").read_text())
    return {**ENVIRONMENT, "CREATEOS_ACCELERATOR": found["accelerator"]}


def run(*command: str, environment: dict[str, str] = ENVIRONMENT) -> subprocess.CompletedProcess[str]:
    argv = [*CREATEOSD, "--", *command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=1700)


def test_the_command_finds_the_engine_its_exit_code_is_kept_and_its_sandboxes_end_with_it() -> None:
    create = f"{Path(sys.executable).parent}/createos sandbox create --shape s-1vcpu-256mb --name left-behind"

    done = run("/bin/sh", "-c", f'echo "$CREATEOS_SANDBOX_URL ${{CREATEOS_API_KEY%%_*}}"; {create}; exit 7')

    first, _, rest = done.stdout.partition("\n")
    assert done.returncode == 7, done.stderr
    assert first.startswith("http://127.0.0.1:")
    assert first.endswith(" skp")
    assert '"status": "running"' in rest


def test_a_command_that_does_not_exist_is_127(known: dict[str, str]) -> None:
    done = run("/no/such/command", environment=known)

    assert (done.returncode, "no such command" in done.stderr) == (127, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_and_the_engine(
    number: signal.Signals, known: dict[str, str], tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    with subprocess.Popen([*CREATEOSD, "--", "/bin/sh", "-c", f"echo > {begun}; exec sleep 1000"], env=known) as it:
        wait_for(begun.exists, 60, "the command was not started")

        it.send_signal(number)

        assert it.wait(300) == 128 + number


# Everything of the contract that the SDK has a method for.
TOPICS = ("", "_networks", "_egress", "_people", "_processes", "_snapshots", "_templates", "_disks")


@pytest.mark.timeout(1800)
def test_the_official_sdk_works_against_it(known: dict[str, str]) -> None:
    files = [str(REPOSITORY / f"tests/contract/test_sdk{topic}.py") for topic in TOPICS]

    done = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, environment=known)

    assert done.returncode == 0, done.stdout[-4000:]
