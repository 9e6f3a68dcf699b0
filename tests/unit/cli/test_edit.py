"""`edit` by flags: parsed before any call, applied in a fixed order, one document at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, sandbox, sandbox_id
from tests.unit.cli.test_create import PUBLIC_KEY


@pytest.fixture(autouse=True)
def _demo(api: FakeApi) -> None:
    api.rows = [sandbox(1, "demo")]


def test_changes_are_made_in_order_and_shown_as_the_sandbox(cli: Cli, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(PUBLIC_KEY)

    ran = cli("sb", "edit", "demo", "--add-ssh-key", f"{tmp_path}/id.pub", "--auto-pause", "30m", "--ingress", "ON")

    assert api.bodies == [{"ingress_enabled": True}, {"auto_pause_after_seconds": 1800}, {"keys": [PUBLIC_KEY]}]
    document = ran.document
    assert (document["id"], document["action"]) == (sandbox_id(1), "edited")
    assert (document["auto_pause_after_seconds"], document["keys_added"], document["total_keys"]) == (1800, 1, 1)
    assert document["ingress_url"] == document["ingress_url_template"]


@pytest.mark.parametrize(
    ("flags", "body", "action"),
    [
        ("--ingress yes", {"ingress_enabled": True}, "ingress_updated"),
        ("--ingress Disable", {"ingress_enabled": False}, "ingress_updated"),
        ("--auto-pause 90s", {"auto_pause_after_seconds": 90}, "auto_pause_updated"),
        ("--auto-pause off", {"disable_auto_pause": True}, "auto_pause_updated"),
    ],
)
def test_one_change_has_its_own_action(
    cli: Cli, api: FakeApi, flags: str, body: dict[str, object], action: str
) -> None:
    ran = cli("sandbox", "edit", "demo", *flags.split())

    assert api.bodies == [body]
    assert ran.document["action"] == action


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("demo --ingress maybe", "--ingress maybe is neither on nor off"),
        ("demo --auto-pause 10", "'10' is not a duration"),
        ("demo --auto-pause 10s", "--auto-pause 10s is out of range"),
        ("demo --ingress on --add-ssh-key /nowhere", "--add-ssh-key /nowhere cannot be read"),
        ("demo", "nothing to do"),
        ("", "edit needs a sandbox"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_call(cli: Cli, api: FakeApi, flags: str, message: str) -> None:
    ran = cli("sandbox", "edit", *flags.split())

    assert (ran.code, api.calls) == (1, [])
    assert ran.document["error"]["message"].startswith(message)


def test_the_first_refusal_stops_and_what_was_done_stays(cli: Cli, api: FakeApi) -> None:
    api.instead[f"PATCH /v1/sandboxes/{sandbox_id(1)}"] = (400, {"status": "fail", "data": {"x": "not offered"}})

    ran = cli("sandbox", "edit", "demo", "--ingress", "on", "--auto-pause", "30m")

    assert (ran.code, len(api.bodies)) == (1, 1)
    assert ran.document["error"]["message"] == "not offered"


def test_on_a_terminal_each_change_is_a_sentence(cli: Cli) -> None:
    ran = cli("sandbox", "edit", "demo", "--ingress", "off", "--auto-pause", "1h30m", terminal=True)

    assert ran.out.splitlines() == [
        f"Changed demo ({sandbox_id(1)})",
        "  Public URL: off",
        "  Auto-pause: after 1h30m without activity",
    ]
