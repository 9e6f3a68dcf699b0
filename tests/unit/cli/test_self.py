"""`self`: what a program inside a sandbox asks for that sandbox."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi

ACCEPTED = {"status": "success", "data": {"status": "accepted"}}


@pytest.fixture(autouse=True)
def _door(api: FakeApi) -> None:
    api.instead["POST /self/pause"] = api.instead["POST /self/delete"] = (202, ACCEPTED)


@pytest.mark.parametrize("group", ["self", "sandbox self", "sb self"])
def test_a_pause_needs_no_key_and_is_asked_for_at_the_door(cli: Cli, api: FakeApi, group: str) -> None:
    ran = cli(*group.split(), "pause", "--reason", "at night & alone", environ={"CREATEOS_SANDBOX_URL": "https://x"})

    assert ran.document == {"status": "accepted", "action": "pause", "reason": "at night & alone"}
    assert api.calls == ["POST /self/pause?reason=at+night+%26+alone"]
    assert [endpoint.text for endpoint in cli.served] == ["http://127.0.0.1:1029"]
    assert api.requests[0].silence_s == 2
    assert "X-Api-Key" not in api.requests[0].headers


@pytest.mark.parametrize("word", ["delete", "destroy", "rm"])
def test_an_end_needs_force_without_a_terminal(cli: Cli, api: FakeApi, word: str) -> None:
    refused = cli("self", word)
    done = cli("self", word, "--force")

    assert (refused.code, done.code) == (1, 0)
    assert api.calls == ["POST /self/delete"]


def test_on_a_terminal_it_asks_first(cli: Cli, api: FakeApi) -> None:
    no = cli("self", "delete", terminal=True, stdin=b"\n")
    yes = cli("self", "delete", terminal=True, stdin=b"y\n")

    assert (no.code, no.out) == (0, "Cancelled.\n")
    assert yes.out == "Accepted: this sandbox is about to be deleted.\n"
    assert len(api.calls) == 1


def test_a_refusal_is_shown_in_its_own_words(cli: Cli, api: FakeApi) -> None:
    api.instead["POST /self/pause"] = (503, {"status": "error", "message": "no", "code": 503, "data": "try later"})

    ran = cli("self", "pause")

    assert (ran.code, ran.document["error"]["message"]) == (1, "try later")


def test_outside_of_a_sandbox_it_says_so(cli: Cli, api: FakeApi) -> None:
    from createos_cli.errors import Unreachable

    def nobody(_: object) -> object:
        raise Unreachable("nobody")

    cli.api = nobody  # type: ignore[assignment]

    ran = cli("self", "pause", terminal=True)

    assert ran.code == 1
    assert ran.err.startswith("Error: this is no sandbox")
