"""Completion in real shells, against the fake API behind a real socket; a shell that is not installed is skipped."""

from __future__ import annotations

import os
import shutil
import socket as sockets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, page, sandbox, sandbox_id
from tests.unit.cli.fake_server import serve
from tests.unit.cli.terminals import CREATEOS

Complete = Callable[[str], list[str]]
SHELLS = ("bash", "zsh", "fish")

# What a tab does, without a terminal: the line goes in, the candidates come out.
BASH = """
source {script}
COMP_LINE={line}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
compopt() {{ printf ':files\\n'; }}
_createos
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# zsh completes on a terminal only; the functions that it would call are replaced by ones that print.
ZSH = """
compdef() {{ : }}
source {script}
_describe() {{ print -rl -- "${{(@P)4}}" }}
_files() {{ print -r -- ':files' }}
line={line}
words=("${{(@s: :)line}}") CURRENT=$#words
_createos
"""
FISH = "source {script}\ncomplete -C{line}"


@pytest.fixture
def socket(api: FakeApi, tmp_path: Path) -> Iterator[Path]:
    api.rows = [sandbox(1, "alpha"), sandbox(2, "beta"), sandbox(3, "gone", "destroyed"), sandbox(4, "$(reboot)")]
    api.instead["GET /v1/networks"] = page([{"id": "net-1", "name": "backend"}])
    with serve(api, tmp_path / "api.sock") as path:
        yield path


@pytest.fixture(params=SHELLS)
def complete(request: pytest.FixtureRequest, socket: Path, tmp_path: Path) -> Complete:
    """Return a function from a command line to the words offered at its end."""
    shell = str(request.param)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_bytes(subprocess.run([CREATEOS, "completion", shell], capture_output=True, check=True).stdout)
    template = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell]

    def run(line: str) -> list[str]:
        text = template.format(script=script, line=f"'{line}'")
        said = subprocess.run(
            [shell, *(["--norc"] if shell == "bash" else ["-f"] if shell == "zsh" else ["--no-config"]), "-c", text],
            env=environment(socket, tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert said.stderr == ""
        words = [row.partition("\t")[0] for row in said.stdout.splitlines() if row]
        return [
            word.replace("\\:", "\0").partition(":")[0].replace("\0", ":") if shell == "zsh" else word for word in words
        ]

    return run


def environment(socket: Path, home: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(CREATEOS).parent}{os.pathsep}/usr/bin:/bin",
        "HOME": str(home),
        "CREATEOS_SOCKET": str(socket),
        "CREATEOS_COMPLETION_DEADLINE_S": "30",
        "TERM": "dumb",
        "LANG": "C.UTF-8",
    }


def test_commands_are_completed(complete: Complete) -> None:
    assert {"sandbox", "login", "completion"} <= set(complete("createos "))
    assert {"create", "edit", "exec"} <= set(complete("createos sandbox "))
    assert {"pause", "delete"} <= set(complete("createos sb self "))


def test_flags_are_completed_before_and_behind_the_name(complete: Complete) -> None:
    for line in ("createos sandbox edit --", "createos sandbox edit alpha --", "createos --output json sb edit --"):
        assert {"--ingress", "--auto-pause", "--output", "--help"} <= set(complete(line)), line
    assert "--shape" not in complete("createos sandbox edit --")


@pytest.mark.parametrize("line", ["get ", "exec ", "rm alpha ", "edit --ingress on ", "get --output json "])
def test_names_of_sandboxes_are_completed(complete: Complete, line: str) -> None:
    assert complete(f"createos sandbox {line}") == ["alpha", "beta"]


def test_ids_are_completed_once_one_is_begun(complete: Complete) -> None:
    assert complete("createos sandbox get sb-") == [sandbox_id(place) for place in (1, 2, 4)]


def test_values_of_flags_are_completed(complete: Complete) -> None:
    assert complete("createos sandbox create --shape ") == ["s-1vcpu-256mb", "s-2vcpu-2gb"]
    assert complete("createos sandbox create --network ") == ["backend"]
    assert complete("createos sandbox list --output ") == ["json", "table"]


def test_nothing_is_offered_where_only_the_user_knows(complete: Complete) -> None:
    assert complete("createos sandbox create --name ") == []


def test_what_a_shell_would_read_as_more_than_a_name_is_left_out(cli: Cli, api: FakeApi) -> None:
    api.rows = [sandbox(1, name) for name in ("$(reboot)", "a b", "`x`", "a;b", "good-1", "a\nb")]

    ran = cli("__names", "sandboxes")

    assert (ran.code, ran.out) == (0, "good-1\trunning, s-1vcpu-256mb\n")


@pytest.mark.parametrize("kind", ["sandboxes", "rootfs", "disks", "templates", "nonsense", ""])
def test_failures_are_silent(cli: Cli, api: FakeApi, kind: str) -> None:
    for path in ("sandboxes", "rootfs", "disks", "templates"):
        api.instead[f"GET /v1/{path}"] = (500, {"status": "error", "message": "no", "code": 500, "data": "no"})

    ran = cli("__names", *([kind] if kind else []))

    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.parametrize("deadline", ["0.2", "0", "nan", "soon"])
def test_a_daemon_that_does_not_answer_holds_nobody_up(tmp_path: Path, deadline: str) -> None:
    with sockets.socket(sockets.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf.sock"))
        deaf.listen()

        said = subprocess.run(
            [CREATEOS, "__names", "sandboxes"],
            env={**environment(tmp_path / "deaf.sock", tmp_path), "CREATEOS_COMPLETION_DEADLINE_S": deadline},
            capture_output=True,
            timeout=50,
            check=False,
        )

    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")


def test_a_shell_that_is_not_known_is_named(cli: Cli) -> None:
    assert cli("completion", "tcsh").document["error"]["message"] == "there is no completion for 'tcsh'"
    assert cli("completion").document["error"]["message"] == "completion needs the name of a shell"
