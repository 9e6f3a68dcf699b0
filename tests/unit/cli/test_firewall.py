"""`firewall`: what is sent, what is printed, and what ends with 1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, sandbox, sandbox_id

PATH = f"/v1/sandboxes/{sandbox_id(1)}/egress"
DENIAL = {
    "target": "203.0.113.9",
    "protocol": "tcp",
    "port": 443,
    "code": "unlisted",
    "reason": "no egress rule allows this destination",
    "count": 3,
    "last_at": "2026-11-23T10:00:00.000Z",
}


def answer(api: FakeApi, route: str, data: Any) -> None:
    api.instead[route] = (200, {"status": "success", "data": data})


@pytest.fixture(autouse=True)
def _world(api: FakeApi) -> None:
    """One sandbox with two rules."""
    api.rows = [sandbox(1, "one")]
    answer(api, f"GET {PATH}", {"id": sandbox_id(1), "egress": ["example.org:443", "*.debian.org"]})
    answer(api, f"PUT {PATH}", {"id": sandbox_id(1), "egress": ["example.org"]})


def test_show_lists_the_rules(cli: Cli) -> None:
    assert cli("sandbox", "firewall", "show", "one", "--output", "table").out == (
        "2 rules are active; everything else is refused:\n  • example.org:443\n  • *.debian.org\n"
    )
    assert cli("sb", "fw", "show", "one").document == {"rules": ["example.org:443", "*.debian.org"]}


def test_without_rules_it_says_that_all_is_open(cli: Cli, api: FakeApi) -> None:
    answer(api, f"GET {PATH}", {"id": sandbox_id(1), "egress": []})

    assert "everything outside is allowed" in cli("sandbox", "firewall", "show", "one", "--output", "table").out


def test_set_sends_rules_with_spaces_or_commas(cli: Cli, api: FakeApi) -> None:
    assert cli("sandbox", "firewall", "set", "one", "example.org,*.debian.org", "203.0.113.0/24:443").code == 0

    assert api.bodies == [{"egress": ["example.org", "*.debian.org", "203.0.113.0/24:443"]}]


def test_set_without_rules_asks_on_a_terminal_only(cli: Cli, api: FakeApi) -> None:
    assert "at least one rule" in cli("sandbox", "firewall", "set", "one").document["error"]["message"]
    assert api.bodies == []

    assert cli("sandbox", "firewall", "set", "one", terminal=True, stdin=b"example.org\n").code == 0
    assert api.bodies == [{"egress": ["example.org"]}]


def test_clear_asks_on_a_terminal_and_sends_an_empty_list(cli: Cli, api: FakeApi) -> None:
    assert cli("sandbox", "firewall", "clear", "one", terminal=True, stdin=b"n\n").out == "Cancelled.\n"
    assert api.bodies == []

    assert cli("sandbox", "firewall", "clear", "one", "--yes").code == 0
    assert api.bodies == [{"egress": []}]


@pytest.mark.parametrize(
    ("allowed", "verdict", "code"),
    [(True, "example.org:443 is allowed: a rule", 0), (False, "example.org:443 is refused: a rule", 1)],
)
def test_explain_says_what_would_happen_and_ends_accordingly(
    cli: Cli, api: FakeApi, allowed: bool, verdict: str, code: int
) -> None:
    answer(api, f"GET {PATH}/explain", {"allowed": allowed, "reason": "a rule", "rules": []})

    ran = cli("sandbox", "firewall", "explain", "one", "example.org:443", "--output", "table")

    assert (ran.out.strip(), ran.code) == (verdict, code)


def test_the_log_says_what_was_refused_and_why(cli: Cli, api: FakeApi) -> None:
    page = {"data": [DENIAL], "pagination": {"total": 1, "limit": 200, "offset": 0, "count": 1}}
    answer(api, f"GET {PATH}/denials", page)

    shown = cli("sandbox", "firewall", "log", "one", "--output", "table").out

    assert "203.0.113.9" in shown
    assert "no egress rule allows this destination" in shown
    assert cli("sandbox", "firewall", "log", "one").document[0]["count"] == 3
