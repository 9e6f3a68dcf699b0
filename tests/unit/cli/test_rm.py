from __future__ import annotations

import pytest
from createos_cli.errors import Unreachable

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, sandbox, sandbox_id


@pytest.fixture(autouse=True)
def _boxes(api: FakeApi) -> None:
    api.rows = [sandbox(1, "one"), sandbox(2, "two", status="paused"), sandbox(3, "three", status="failed")]


def removed(api: FakeApi) -> list[str]:
    return [call.rpartition("/")[2] for call in api.calls if call.startswith("DELETE")]


@pytest.mark.parametrize(
    "line", ["rm one --force", "rm --yes one", "rm one -y", "rm -yes one", "delete -force one", "destroy one --yes"]
)
def test_every_force_word_works_in_any_place(cli: Cli, api: FakeApi, line: str) -> None:
    assert cli("sandbox", *line.split()).code == 0
    assert removed(api) == [sandbox_id(1)]


def test_without_a_terminal_nothing_is_destroyed_unforced(cli: Cli, api: FakeApi) -> None:
    assert cli("sandbox", "rm", "one").code == 1
    assert api.calls == []


@pytest.mark.parametrize(("typed", "count"), [(b"y\n", 1), (b"Yes\n", 1), (b"n\n", 0), (b"\n", 0), (b"", 0)])
def test_a_terminal_is_asked_and_the_default_is_no(cli: Cli, api: FakeApi, typed: bytes, count: int) -> None:
    ran = cli("sandbox", "rm", "one", terminal=True, stdin=typed)

    assert ran.code == 0
    assert len(removed(api)) == count
    assert ("Cancelled." in ran.out) is (count == 0)


def test_a_bad_reference_is_told_and_the_rest_go_on(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "rm", "nope", "one", "two", "--force", "-o", "table")

    assert ran.code == 1
    assert removed(api) == [sandbox_id(1), sandbox_id(2)]
    assert ran.err == "Error: nope: no sandbox matching 'nope'\n"
    assert ran.out.splitlines() == [f"Destroyed one ({sandbox_id(1)})", f"Destroyed two ({sandbox_id(2)})"]


def test_a_terminal_picks_several_of_the_running_and_paused(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "rm", terminal=True, stdin=b"2, 1\ny\n")

    assert ran.code == 0
    assert removed(api) == [sandbox_id(2), sandbox_id(1)]
    assert "three" not in ran.err


def test_with_nothing_to_pick_from_the_command_ends_quietly(cli: Cli, api: FakeApi) -> None:
    api.rows = []

    ran = cli("sandbox", "rm", terminal=True)

    assert (ran.code, ran.out, ran.err) == (0, "Cancelled.\n", "There are no running or paused sandboxes.\n")


def test_a_server_that_is_gone_ends_the_command_at_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: FakeApi, request: object) -> object:
        raise Unreachable("createosd is not running", hint="start it")

    monkeypatch.setattr(FakeApi, "__call__", gone)

    assert cli("sandbox", "rm", "one", "two", "--force").document["error"]["hint"] == "start it"
