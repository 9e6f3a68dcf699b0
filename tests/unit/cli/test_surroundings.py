from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from createos_cli.spinner import spinning
from createos_cli.surroundings import read_env_file

PROGRAM = (sys.executable, "-c", "from createos_cli.main import run; raise SystemExit(run())")
NO_DAEMON = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "CREATEOS_SOCKET": "/nowhere/createosd.sock"}


def run(
    *argv: str, cwd: Path, stdin: int | bytes = subprocess.DEVNULL, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the real program; *stdin* is a descriptor or what is piped in."""
    piped = {"input": stdin.decode()} if isinstance(stdin, bytes) else {"stdin": stdin}
    variables = {"PATH": os.environ["PATH"], "HOME": str(cwd), **environ}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [*PROGRAM, *argv], cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=60, **piped
    )


@pytest.mark.parametrize("word", ["--version", "-v", "version"])
def test_the_version_is_one_line_that_needs_nothing(tmp_path: Path, word: str) -> None:
    ran = run(word, cwd=tmp_path)

    assert ran.returncode == 0
    assert re.fullmatch(r"createos \d+\.\d+\S*\n", ran.stdout)


def test_neither_version_nor_exec_imports_the_parser(tmp_path: Path) -> None:
    loaded = (
        "import sys; from createos_cli.main import run; code = run(); print([m for m in HEAVY if m in sys.modules])"
    )
    for heavy, argv in (
        (["typer", "http.client", "json"], ["--version"]),
        (["typer", "rich", "httpx", "pydantic"], ["sandbox", "exec", "box", "--", "true"]),
    ):
        script = loaded.replace("HEAVY", repr(heavy)).replace("import sys;", f"import sys; sys.argv[1:] = {argv!r};")
        ran = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path, env=NO_DAEMON
        )
        assert ran.stdout.endswith("[]\n"), ran


def test_a_file_of_variables_in_the_directory_counts_unless_they_are_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CREATEOS_SOCKET=/from/file.sock\nCREATEOS_OUTPUT=table\n")

    from_file = run("sandbox", "list", cwd=tmp_path)
    overridden = run("sandbox", "list", cwd=tmp_path, CREATEOS_SOCKET="/from/environ.sock")

    assert from_file.returncode == overridden.returncode == 1
    assert "/from/file.sock" in from_file.stderr
    assert "/from/environ.sock" in overridden.stderr


def test_the_lines_of_a_file_of_variables(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# remark\nA=1\n export B = two words \nC='single # kept'\nD=\"double\"\n"
        "E=value # remark\nF=\nno line\n2X=bad\nG=a=b\n"
    )

    assert read_env_file(path) == {
        "A": "1",
        "B": "two words",
        "C": "single # kept",
        "D": "double",
        "E": "value",
        "F": "",
        "G": "a=b",
    }
    assert read_env_file(tmp_path / "none") == {}


def test_a_closed_standard_input_and_output_are_survived(tmp_path: Path) -> None:
    ran = subprocess.run(
        ["sh", "-c", '"$@" sandbox exec sb-x -- true <&- >&- 2>err; echo $?', "sh", *PROGRAM],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=NO_DAEMON,
    )  # fmt: skip

    assert ran.stdout == "1\n"
    assert "createosd is not running" in (tmp_path / "err").read_text()


def test_an_open_pipe_that_stays_silent_is_remarked_on(tmp_path: Path) -> None:
    read, write = os.pipe()
    program = [*PROGRAM, "sandbox", "exec", "sb-" + "0" * 26, "--", "cat"]
    running = subprocess.Popen(program, stdin=read, stderr=subprocess.PIPE, cwd=tmp_path, text=True, env=NO_DAEMON)
    os.close(read)
    assert running.stderr is not None

    first = running.stderr.readline()
    os.close(write)
    _, rest = running.communicate(timeout=120)

    assert "Waiting for the end of standard input" in first
    assert rest.startswith("Error: ")


def test_the_spinner_appears_only_when_it_takes_a_while_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "shown"
    with path.open("wb") as stream:
        with spinning(stream, "Quick"):
            pass
        quick = path.read_bytes()
        with spinning(stream, "Slow"):
            deadline = time.monotonic() + 60
            while not path.stat().st_size and time.monotonic() < deadline:
                time.sleep(0.01)

    assert quick == b""
    assert b"Slow (0 s)" in path.read_bytes()
    assert path.read_bytes().endswith(b"\r\x1b[K")


def _until_it_waits(pid: int) -> None:
    """Return when a process sleeps and does not run in between: a signal just before that would not end its sleep."""
    status = Path(f"/proc/{pid}/status")
    before = ""
    while (now := status.read_text()) != before or "State:\tS" not in now:
        before = now
        time.sleep(0.2)


def test_an_interrupt_in_the_middle_of_a_request_exits_quietly_with_130(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    program = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {PROGRAM[2]}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        running = subprocess.Popen(
            [sys.executable, "-c", program, "sandbox", "shapes"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**NO_DAEMON, "CREATEOS_SOCKET": path},
        )  # fmt: skip
        connection, _ = listener.accept()
        connection.recv(1)
        _until_it_waits(running.pid)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=120)
        connection.close()

    assert (running.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize("word", ["--version", "--help", "whoami"])
def test_a_full_disk_behind_the_output_is_one_sentence(tmp_path: Path, word: str) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*PROGRAM, word], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=NO_DAEMON
        )

    assert (ran.returncode, ran.stderr) == (1, "Error: [Errno 28] No space left on device\n")


def test_the_version_is_found_beside_other_flags(tmp_path: Path) -> None:
    assert run("-o", "json", "--version", cwd=tmp_path).stdout == run("version", cwd=tmp_path).stdout
