"""A person at a terminal: the shell, managed terminals, and what is left of the terminal afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect
import pytest

from tests.vm.engine import Box, LiveEngine, wait_for

RUN = "import sys; from createos_cli.main import run; sys.exit(run())"


@contextmanager
def terminal(engine: LiveEngine, *words: str, size: tuple[int, int] = (30, 100)) -> Iterator[pexpect.spawn[str]]:
    """Run `createos sandbox WORDS` on a terminal of its own."""
    argv = ["-c", RUN, "sandbox", *words]
    env = {**engine.environment, "TERM": "xterm"}
    with pexpect.spawn(sys.executable, argv, env=env, dimensions=size, timeout=120, encoding="utf-8") as child:
        yield child


def createos(engine: LiveEngine, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `createos sandbox WORDS` without a terminal."""
    argv = [sys.executable, "-c", RUN, "sandbox", *words]
    return subprocess.run(argv, env=engine.environment, input=stdin, capture_output=True, timeout=600, check=False)


def test_the_shell_has_the_terminals_size_and_follows_its_changes(engine: LiveEngine, box: Box) -> None:
    with terminal(engine, "shell", box.id) as shell:
        shell.expect("[#$] ")
        shell.sendline("stty size")
        shell.expect("30 100")
        shell.setwinsize(41, 77)
        wait_for(lambda: _size(shell) == "41 77", 15, "the new size did not arrive")
        shell.sendline("exit 3")
        shell.expect(pexpect.EOF)
        shell.close()
        assert shell.exitstatus == 0


def _size(shell: pexpect.spawn[str]) -> str:
    shell.sendline("echo =$(stty size)=")
    shell.expect(r"=(\d+ \d+)=")
    match = shell.match
    return str(match.group(1)) if hasattr(match, "group") else ""


def test_ctrl_c_and_ctrl_z_reach_the_program(engine: LiveEngine, box: Box) -> None:
    with terminal(engine, "shell", box.id) as shell:
        shell.expect("[#$] ")
        shell.sendline("sleep 1000")
        box.awaits("sleep 1000")
        shell.sendintr()
        shell.sendline("echo code-$?")
        shell.expect("code-130")
        shell.sendline("sleep 1001")
        box.awaits("sleep 1001")
        shell.send("\x1a")
        shell.expect("Stopped")
        shell.sendline("kill %1; wait; echo gone-$?")
        shell.expect("gone-")
        shell.sendline("exit")
        shell.sendline("exit")
        shell.expect(pexpect.EOF)


def test_vi_edits_a_file(engine: LiveEngine, box: Box) -> None:
    with terminal(engine, "shell", box.id) as shell:
        shell.expect("[#$] ")
        shell.sendline("vi /tmp/edited")
        shell.expect("- /tmp/edited")
        shell.send("ihello from vi")
        shell.expect("I /tmp/edited")
        shell.send("\x1b")
        shell.expect("- /tmp/edited")
        shell.send(":wq\r")
        shell.sendline("echo done-$?")
        shell.expect("done-0")
        shell.sendline("exit")
        shell.expect(pexpect.EOF)

    assert box.sh("cat /tmp/edited") == "hello from vi\n"


def test_the_terminal_is_put_back_however_the_shell_ends(engine: LiveEngine, box: Box) -> None:
    client = f"{sys.executable} -c '{RUN}' sandbox shell {box.id}"
    line = f'before=$(stty -a); {client}; test "$before" = "$(stty -a)" && echo same=yes'
    env = {**engine.environment, "TERM": "xterm"}
    with pexpect.spawn("bash", ["-c", line], env=env, timeout=120, encoding="utf-8") as outer:
        outer.expect("[#$] ")
        children = subprocess.run(["pgrep", "-P", str(outer.pid)], capture_output=True, text=True, check=True)
        os.kill(int(children.stdout.split()[-1]), signal.SIGTERM)
        outer.expect("same=yes")


def shells(engine: LiveEngine, box: Box) -> set[str]:
    """Return the processes of a sandbox that run on a terminal."""
    listed = createos(engine, "process", "list", box.id, "--output", "table").stdout.decode().splitlines()[1:]
    return {line.split()[0] for line in listed if " pty " in line and "running" in line}


def test_a_managed_shell_is_left_and_found_again(engine: LiveEngine, box: Box) -> None:
    others = shells(engine, box)  # those of earlier tests may just be ending
    with terminal(engine, "process", "shell", box.id) as shell:
        shell.expect("[#$] ")
        shell.sendline("X=kept; echo set-$X")
        shell.expect("set-kept")
        shell.send("\x1d")
        shell.expect("Detached")
        shell.expect(pexpect.EOF)
    (process,) = shells(engine, box) - others
    with terminal(engine, "process", "attach", box.id, process) as shell:
        shell.expect("set-kept\r\n")
        shell.sendline("echo again-$X; exit 4")
        shell.expect("again-kept")
        shell.expect(pexpect.EOF)
        shell.close()
        assert shell.exitstatus == 4


def test_a_shell_without_a_terminal_says_what_to_do(engine: LiveEngine, box: Box) -> None:
    done = createos(engine, "shell", box.id, "--output", "table")

    assert done.returncode == 1
    assert b"needs a terminal" in done.stderr


@pytest.mark.parametrize("words", [["run"], ["run", "--cwd", "/tmp"]])
def test_a_run_process_keeps_its_output_apart_and_its_exit_code(engine: LiveEngine, box: Box, words: list[str]) -> None:
    line = "pwd; echo err >&2; exit 6"
    done = createos(engine, "process", *words, "-o", "table", box.id, "--", "/bin/sh", "-c", line)

    assert done.returncode == 6
    assert done.stdout in (b"/tmp\n", b"/root\n")
    assert done.stderr == b"err\n"
