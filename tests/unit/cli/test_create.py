from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICL6Q5P9tTl0ErOJCpj+Kn2lX7Ukn2BJlwKzzAyVFeSh me"


def test_only_what_was_asked_for_is_sent(cli: Cli, api: FakeApi) -> None:
    cli("sandbox", "create", "--shape", "s-1vcpu-256mb")

    assert api.bodies == [{"shape": "s-1vcpu-256mb"}]


def test_every_flag_reaches_the_server(cli: Cli, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(f"{PUBLIC_KEY}\n\n")

    flags = (
        f"--shape s --name box --rootfs debian:12 --disk-mib 2048 --ssh-key {tmp_path}/id.pub --env A=1,2 --env B=x=y "
        "--env A=3 --ingress --network one --net two --disk data:/mnt/data:ro --egress a.com,b.com --egress c.com "
        "--auto-pause 1h30m"
    )
    ran = cli("sb", "c", *flags.split(), "--network", " ")

    assert ran.code == 0
    assert api.bodies == [
        {
            "shape": "s",
            "name": "box",
            "rootfs": "debian:12",
            "disk_mib": 2048,
            "ssh_pubkeys": [PUBLIC_KEY],
            "envs": {"A": "3", "B": "x=y"},
            "ingress_enabled": True,
            "networks": [{"id": "one"}, {"id": "two"}],
            "disks": [{"disk_id": "data", "mount_path": "/mnt/data:ro"}],
            "egress": ["a.com", "b.com", "c.com"],
            "auto_pause_after_seconds": 5400,
        }
    ]


def test_a_refusal_of_the_server_is_shown(cli: Cli, api: FakeApi) -> None:
    body = {"status": "fail", "data": {"networks": "private networks are not offered by this server"}}
    api.instead["POST /v1/sandboxes"] = (400, body)

    ran = cli("sandbox", "create", "--shape", "s", "--network", "n")

    assert ran.document["error"]["message"] == "private networks are not offered by this server"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("", "create needs --shape"),
        ("--ssh-key /nowhere --auto-pause 1 --env x", "--ssh-key /nowhere cannot be read"),
        ("--auto-pause 10 --env x", "'10' is not a duration"),
        ("--auto-pause 30s", "--auto-pause 30s is out of range"),
        ("--env x", "create needs --shape"),
        ("--shape s --env x --disk y", "--env x is not KEY=VALUE"),
        ("--shape s --disk :/x", "--disk :/x is not NAME:/PATH"),
        ("--shape s --disk-mib -1", "invalid value for '--disk-mib'"),
    ],
)
def test_flags_are_checked_in_order_before_any_call(cli: Cli, api: FakeApi, flags: str, message: str) -> None:
    ran = cli("sandbox", "create", *flags.split())

    assert (ran.code, api.calls) == (1, [])
    assert ran.document["error"]["message"].startswith(message)


def test_a_private_key_is_not_sent(cli: Cli, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")

    ran = cli("sandbox", "create", "--shape", "s", "--ssh-key", str(tmp_path / "id"))

    assert (ran.code, api.calls) == (1, [])
    assert ran.document["error"]["hint"].endswith("id.pub")


def test_where_no_keys_can_be_pressed_lines_are_read(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "create", terminal=True, stdin=b"nine\n7\n2\nbox\n2\nyes\n\nsoon\n2h\n")

    assert ran.code == 0
    assert api.bodies == [
        {
            "shape": "s-2vcpu-2gb",
            "name": "box",
            "rootfs": "devbox:1",
            "ingress_enabled": True,
            "auto_pause_after_seconds": 7200,
        }
    ]
    assert "'soon' is not a duration" in ran.err
    assert ran.err.count("Write a number from 1 to 2") == 2


@pytest.mark.parametrize("typed", [b"", b"\n", b"9\n9\n9\n"])
def test_leaving_the_question_creates_nothing_and_is_no_error(cli: Cli, api: FakeApi, typed: bytes) -> None:
    ran = cli("sandbox", "create", terminal=True, stdin=typed)

    assert (ran.code, ran.out, api.bodies) == (0, "Cancelled.\n", [])


def test_a_name_without_its_flag_is_answered_with_the_flag(cli: Cli, api: FakeApi) -> None:
    ran = cli("-o", "text", "sandbox", "create", "mybox")

    assert ran.code == 1
    assert ran.err.splitlines() == [
        "Error: createos sandbox create takes no further argument: mybox",
        "  a name is given with --name; see createos sandbox create --help",
    ]
    assert api.bodies == []
