"""The first command of the README: `make up`, twice, and `make down`, with a state directory of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Settings that keep this daemon away from every other one of the machine."""
    state, run = Path(f"/var/tmp/createos-up-{os.getpid()}"), Path(f"/run/createos-up-{os.getpid()}")
    yield {
        **os.environ,
        "CREATEOS_STATE_DIR": str(state),
        "CREATEOS_RUN_DIR": str(run),
        "CREATEOS_LISTEN_PORT": "0",
        "CREATEOS_DEFAULT_ROOTFS": "busybox:1",
        "CREATEOS_SOCKET": str(run / "createosd.sock"),
    }
    for path in (state, run):
        subprocess.run(["rm", "-rf", str(path)], check=True)


def run(environment: dict[str, str], *argv: str) -> str:
    done = subprocess.run(
        argv, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_make_up_ends_with_a_command_that_ran_in_a_machine(environment: dict[str, str]) -> None:
    first = run(environment, "make", "up")
    second = run(environment, "make", "up")
    createos = str(REPOSITORY / ".venv/bin/createos")
    run(environment, createos, "sandbox", "rm", "hello", "--force")
    run(environment, "make", "down")

    assert "Linux hello 6." in first
    assert "Create the sandbox hello" in first
    assert "Altogether" in first
    assert "Linux hello 6." in second
    assert "Create the sandbox" not in second
