"""The quick start of the hosted product's page, typed as it stands there: on a terminal, and into jq."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vm.engine import LiveEngine

CREATEOS = str(Path(sys.executable).parent / "createos")


def piped(engine: LiveEngine, line: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line with `createos` on the PATH and no terminal anywhere."""
    path = f"{Path(CREATEOS).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", line],
        env={**engine.environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )


def typed(engine: LiveEngine, *words: str) -> str:
    """Run createos on a terminal of 100 columns and return what it shows, without colours; it must succeed."""
    ours, theirs = pty.openpty()
    environment = {**engine.environment, "COLUMNS": "100", "TERM": "xterm", "NO_COLOR": "1"}
    with subprocess.Popen([CREATEOS, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while select.select([ours], [], [], 600)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the terminal's other end is closed
                break
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "\n")
    assert process.returncode == 0, text
    return text


def test_the_quick_start_on_a_terminal(engine: LiveEngine) -> None:
    assert "root" in typed(engine, "login")
    assert "s-1vcpu-256mb" in typed(engine, "sandbox", "shapes")
    created = typed(engine, "sandbox", "create", "--shape", "s-1vcpu-256mb", "--name", "my-box")
    assert "my-box (sb-" in created
    assert "Linux my-box 6." in typed(engine, "sandbox", "exec", "my-box", "--", "uname", "-a")
    listed = typed(engine, "sandbox", "list")
    assert re.search(r"sb-\w{26} +my-box +running +s-1vcpu-256mb +10\.\d+\.\d+\.\d+", listed)
    assert all(len(line) <= 100 for line in listed.splitlines())
    assert "busybox:1" in typed(engine, "sandbox", "get", "my-box")
    assert "my-box" in typed(engine, "sandbox", "rm", "my-box", "--force")


def test_the_quick_start_piped_into_jq(engine: LiveEngine) -> None:
    create = "createos sandbox create --shape s-1vcpu-256mb --name my-box --env GREETING=hi"

    assert piped(engine, "createos sandbox shapes | jq -r '.[0].id'").stdout == "s-1vcpu-256mb\n"
    assert piped(engine, f"{create} | jq -r .status").stdout == "running\n"
    assert piped(engine, "createos sb ls | jq -r '.[] | select(.name == \"my-box\").status'").stdout == "running\n"
    assert piped(engine, "createos sandbox get my-box --output json | jq -r .rootfs").stdout == "busybox:1\n"
    identity = piped(engine, "createos sandbox list --quiet --status running").stdout.split()
    assert piped(engine, "createos sandbox get my-box | jq -r .id").stdout.strip() in identity
    run = "createos sandbox exec my-box"
    assert piped(engine, f"{run} --env GREETING=yo -- sh -c 'echo $GREETING; exit 5'").stdout == "yo\n"
    assert piped(engine, f"{run} -- sh -c 'exit 5'").returncode == 5
    assert piped(engine, f"printf 'a\\nb\\n' | {run} -- wc -l").stdout.strip() == "2"
    streamed = piped(engine, f"{run} --stream -- sh -c 'echo out; echo err >&2'")
    assert (streamed.stdout, streamed.stderr) == ("out\n", "err\n")
    explicit = piped(engine, f"{run} --output json -- echo hi")
    assert json.loads(explicit.stdout)["stdout"] == "hi\n"
    assert piped(engine, "createos sandbox rm my-box --force | jq .deleted").stdout == "1\n"
    assert "my-box" in piped(engine, "createos sandbox list --all | jq -r '.[].name'").stdout


@pytest.mark.parametrize(
    "line",
    [
        "createos sandbox create --shape s-bad",
        "createos sandbox create --no-such-flag",
        "createos sandbox exec nobody -- true",
        "createos sandbox rm nobody",
        "createos sandbox lst",
    ],
)
def test_every_mistake_is_exit_code_1_and_a_sentence(engine: LiveEngine, line: str) -> None:
    done = piped(engine, line)

    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout + done.stderr
