from __future__ import annotations

import pytest
from createos_cli.errors import Ambiguous, NoMatch
from createos_cli.resolve import match

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, sandbox, sandbox_id

ROWS = [
    sandbox(1, "web"),
    sandbox(2, "web", status="destroyed"),
    sandbox(3, "worker-a"),
    sandbox(4, "worker-b"),
    sandbox(5, "Web"),
    {**sandbox(6, "odd"), "id": "sb-zz"},
    {**sandbox(7, "even"), "id": "sb-zzz"},
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("web", sandbox_id(2)),
        ("Web", sandbox_id(5)),
        ("worker-a", sandbox_id(3)),
        ("od", "sb-zz"),
        ("sb-zz", "sb-zz"),
        ("sb-zzz", "sb-zzz"),
        (sandbox_id(3), sandbox_id(3)),
        ("sb-unknown", "sb-unknown"),
    ],
)
def test_names_and_ids_win_exactly_first_then_by_a_unique_beginning(text: str, found: str) -> None:
    assert match(text, ROWS) == found


def test_the_newest_of_several_with_one_name_is_meant_in_whatever_order_they_come() -> None:
    assert match("web", list(reversed(ROWS))) == sandbox_id(2)


@pytest.mark.parametrize("text", ["worker", "sb-01kaq", "w"])
def test_a_beginning_that_fits_several_is_ambiguous(text: str) -> None:
    with pytest.raises(Ambiguous, match="fits"):
        match(text, ROWS)


def test_ten_candidates_are_listed_newest_first_and_the_rest_counted() -> None:
    rows = [sandbox(place, f"box-{place}") for place in range(1, 14)]

    with pytest.raises(Ambiguous) as failed:
        match("box", rows)

    assert "box-13 (" in failed.value.message.split(",")[0]
    assert failed.value.message.endswith("and 3 more")


@pytest.mark.parametrize("text", ["nope", "WEB", "webb", "id"])
def test_a_name_that_fits_none_is_an_error(text: str) -> None:
    with pytest.raises(NoMatch, match="no sandbox matching"):
        match(text, ROWS)


def test_a_whole_id_is_not_looked_up(cli: Cli, api: FakeApi) -> None:
    api.rows = [sandbox(1)]

    cli("sandbox", "exec", sandbox_id(1), "--", "true")

    assert api.calls == [f"POST /v1/sandboxes/{sandbox_id(1)}/exec"]


def test_an_id_is_used_as_typed_when_the_list_fails(cli: Cli, api: FakeApi) -> None:
    api.instead["GET /v1/sandboxes"] = (500, {"status": "error", "message": "broken"})

    ran = cli("sandbox", "get", "sb-01kaq")

    assert ran.document["error"] == {
        "code": "not_found",
        "message": "sandbox not found",
        "hint": "check the id or name; createos sandbox list --all shows what there is",
    }


def test_a_name_fails_when_the_list_fails(cli: Cli, api: FakeApi) -> None:
    api.instead["GET /v1/sandboxes"] = (500, {"status": "error", "message": "broken"})

    assert cli("sandbox", "get", "web").document["error"]["code"] == "server_error"


def test_an_empty_reference_is_refused(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "get", " ")

    assert (ran.code, api.calls) == (1, [])
