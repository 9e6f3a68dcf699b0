"""The command: what is refused before anything is touched, and Mutagen when there is one (a stand-in that records)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from createos_cli.errors import Usage
from createos_cli.sync.guards import check_local, check_remote

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, sandbox, sandbox_id

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here"


@pytest.fixture
def api() -> FakeApi:
    return FakeApi(rows=[sandbox(1, "box", status="running")])


@pytest.fixture
def cli(api: FakeApi, tmp_path: Path) -> Cli:
    home = tmp_path / "home"
    (home / "project").mkdir(parents=True)
    return Cli(api, home)


@pytest.mark.parametrize(
    "remote",
    [
        "relative",
        "/",
        "//",
        "/.",
        "/etc",
        "/etc/x",
        "/usr/local",
        "/root/../etc",
        "//proc/1",
        "/dev",
        "/run/x",
        "/lib64",
    ],
)
def test_guarded_remote_directories_are_refused_even_by_force(cli: Cli, api: FakeApi, remote: str) -> None:
    local = str(cli.home / "project")

    ran = cli("sandbox", "sync", "box", "--local", local, "--remote", remote, "--force", "--yes", "-o", "table")

    assert ran.code == 1
    assert f"--remote {remote}" in ran.err or "belongs to the system" in ran.err
    assert api.calls == []


def test_other_remote_directories_are_brought_into_their_shortest_form() -> None:
    assert check_remote("/root//a/../sync/") == "/root/sync"
    assert check_remote("/etcetera") == "/etcetera"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("local", ["/", "~", "/etc", "/var/tmp", "/tmp", "~/missing", "~/file", "~/to-etc"])
def test_guarded_local_directories_are_refused_even_by_force(tmp_path: Path, local: str, force: bool) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "file").touch()
    (home / "to-etc").symlink_to("/etc")

    with pytest.raises(Usage):
        check_local(local, home, home / "state", force=force)


@pytest.mark.parametrize("name", [".ssh", ".aws", ".config", ".kube"])
def test_directories_that_may_hold_keys_need_force(tmp_path: Path, name: str) -> None:
    inside = tmp_path / name / "inside"
    inside.mkdir(parents=True)
    (tmp_path / "link").symlink_to(inside)

    for local in (f"~/{name}", f"~/{name}/inside", "~/link"):
        with pytest.raises(Usage, match="may hold keys"):
            check_local(local, tmp_path, tmp_path / "state", force=False)
    assert check_local(f"~/{name}", tmp_path, tmp_path / "state", force=True) == str(tmp_path / name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "sync needs --local"),
        (["--local", "~/project"], "sync needs --remote"),
        (["--local", "~/project", "--remote", "/root/x", "--mode", "both"], "--mode both is unknown"),
        (["--local", "~/project", "--remote", "/root/x", "--exclude", "["], ""),
        (["--local", "~/project", "--remote", "/root/x", "--sshd-wait", "5"], "is not a duration"),
        (["--local", "~/project", "--remote", "/root/x", "--engine", "rsync"], "--engine rsync is unknown"),
    ],
)
def test_bad_words_are_told_before_the_sandbox_is_touched(cli: Cli, api: FakeApi, words: list[str], said: str) -> None:
    ran = cli("sandbox", "sync", "box", "-o", "table", *words)

    assert ran.code == 1
    assert said in ran.err
    assert said == "" or api.calls == []


def mutagen(cli: Cli, version: str = "0.18.1") -> dict[str, str]:
    """Put a program named mutagen on the PATH; return the environment of the command."""
    program = cli.home / "bin" / "mutagen"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = version ] && echo {version} && exit\necho "$*" >> "{cli.home}/said"\n')
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def key_pair(cli: Cli) -> None:
    (cli.home / ".ssh").mkdir()
    (cli.home / ".ssh" / "id_ed25519").write_text("-")
    (cli.home / ".ssh" / "id_ed25519.pub").write_text(f"{KEY}\n")


def serve_ssh(api: FakeApi) -> None:
    gateway = {"host": "127.0.0.1", "port": 2222, "host_key": "ssh-ed25519 AAAA"}
    api.instead["GET /v1/ssh-gateway"] = (200, {"status": "success", "data": gateway})
    api.instead[f"POST /v1/sandboxes/{sandbox_id(1)}/ssh-pubkeys"] = (200, {"status": "success", "data": {"count": 1}})


def run_once(cli: Cli, environ: dict[str, str], *more: str) -> tuple[int, str]:
    local = str(cli.home / "project")
    words = ("--local", local, "--remote", "/root/x", "--once", "-o", "table")
    ran = cli("sandbox", "sync", "box", *words, *more, environ=environ)
    return ran.code, ran.err


def test_mutagen_synchronises_over_the_gateway_and_is_ended(cli: Cli, api: FakeApi) -> None:
    environ = mutagen(cli)
    key_pair(cli)
    serve_ssh(api)

    code, err = run_once(cli, environ, "--yes", "--exclude", "*.o")

    said = (cli.home / "said").read_text().splitlines()
    name = said[0].split("--name=")[1].split()[0]
    assert (code, err) == (0, "")
    assert name.startswith(f"createos-{sandbox_id(1)}-")
    assert said == [
        f"sync create --name={name} --mode=two-way-safe --ignore-vcs --ignore=*.o "
        f"{cli.home}/project {sandbox_id(1)}@127.0.0.1:2222:/root/x",
        f"sync flush {name}",
        f"sync terminate {name}",
        "daemon stop",
    ]
    assert {"keys": [KEY]} in api.bodies


def test_a_key_is_not_installed_without_consent(cli: Cli, api: FakeApi) -> None:
    environ = mutagen(cli)
    key_pair(cli)
    serve_ssh(api)

    code, err = run_once(cli, environ)

    assert code == 1
    assert "--yes installs it" in err
    assert not (cli.home / "said").exists()


def test_a_key_that_is_there_already_changes_nothing(cli: Cli, api: FakeApi) -> None:
    api.rows = [sandbox(1, "box", status="running", ssh_pubkeys=[KEY.replace("me@here", "other comment")])]
    environ = mutagen(cli)
    key_pair(cli)
    serve_ssh(api)

    code, _ = run_once(cli, environ)

    assert code == 0
    assert not any("ssh-pubkeys" in call for call in api.calls)


def test_another_program_named_mutagen_is_not_taken_for_it(cli: Cli) -> None:
    code, err = run_once(cli, mutagen(cli, "tags audio files"), "--engine", "mutagen")

    assert code == 1
    assert "there is no mutagen on the PATH" in err
