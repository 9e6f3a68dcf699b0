from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, sandbox, sandbox_id

NETWORK = {"id": "net-1", "name": "backend", "created_at": "2026-11-23T10:00:00.000Z", "member_count": 1}
MEMBER = {"sandbox_id": sandbox_id(1), "name": "one", "status": "running", "ip": "10.78.0.1"}
OK = {"id": "net-1", "ok": True}


def answer(api: FakeApi, route: str, data: Any) -> None:
    api.instead[route] = (200, {"status": "success", "data": data})


@pytest.fixture(autouse=True)
def _world(api: FakeApi) -> None:
    """One network with the sandbox `one` on it, a second sandbox, and one that is called like the network."""
    api.rows = [sandbox(1, "one"), sandbox(2, "two"), sandbox(3, "backend")]
    page = {"data": [NETWORK], "pagination": {"total": 1, "limit": 200, "offset": 0, "count": 1}}
    answer(api, "GET /v1/networks", page)
    answer(api, "POST /v1/networks", {**NETWORK, "member_count": 0})
    for name in ("backend", "net-1"):
        answer(api, f"GET /v1/networks/{name}", {**NETWORK, "members": [MEMBER]})
        answer(api, f"DELETE /v1/networks/{name}", OK)
        for place in (1, 2, 3):
            answer(api, f"DELETE /v1/sandboxes/{sandbox_id(place)}/networks/{name}", OK)
    for place in (1, 2, 3):
        answer(api, f"POST /v1/sandboxes/{sandbox_id(place)}/networks", OK)


def changed(api: FakeApi) -> list[str]:
    return [call for call in api.calls if not call.startswith("GET")]


def test_create_says_what_can_be_done_with_it(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "network", "create", "backend", terminal=True)

    assert ran.code == 0
    assert "createos sandbox network attach my-box backend" in ran.out
    assert api.bodies == [{"name": "backend"}]
    assert cli("sb", "net", "create", "backend").document["action"] == "network_created"


def test_a_missing_name_is_asked_for_on_a_terminal_only(cli: Cli, api: FakeApi) -> None:
    assert cli("sandbox", "network", "create").code == 1
    assert api.calls == []
    assert cli("sandbox", "network", "create", terminal=True, stdin=b"backend\n").code == 0
    assert api.bodies == [{"name": "backend"}]


def test_the_list_is_a_table_or_an_array(cli: Cli) -> None:
    assert "backend" in cli("sandbox", "networks", "ls", terminal=True).out
    assert [row["id"] for row in cli("sandbox", "network", "list").document] == ["net-1"]


def test_show_tells_how_members_are_reached(cli: Cli) -> None:
    shown = cli("sandbox", "network", "show", "backend", terminal=True, columns=200).out

    assert "one.backend.fc.local" in shown
    assert "10.78.0.1" in shown
    assert cli("sandbox", "network", "show", "backend").document["members"] == [MEMBER]


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("two backend", 2),
        ("backend two", 2),
        (f"{sandbox_id(2)} backend", 2),
        (f"backend {sandbox_id(2)}", 2),
        ("backend backend", 3),
    ],
)
@pytest.mark.parametrize("verb", ["attach", "detach"])
def test_both_orders_mean_the_same(cli: Cli, api: FakeApi, verb: str, words: str, place: int) -> None:
    ran = cli("sandbox", "network", verb, *words.split(), *(["--yes"] if verb == "detach" else []))

    call = f"POST /v1/sandboxes/{sandbox_id(place)}/networks"
    if verb == "detach":
        call = f"DELETE /v1/sandboxes/{sandbox_id(place)}/networks/backend"
    assert ran.document == {
        "action": f"network_{verb}ed",
        "network": "backend",
        "endpoint": sandbox_id(place),
        "type": "sandbox",
    }
    assert changed(api) == [call]


def test_a_device_is_refused_before_anything_is_asked(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "network", "attach", "dev-1", "backend")

    assert (ran.code, api.calls) == (1, [])
    assert "device" in ran.document["error"]["message"]


def test_missing_words_are_an_error_with_an_example(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "network", "attach", "one")

    assert (ran.code, changed(api)) == (1, [])
    assert "createos sandbox network attach my-box backend" in ran.document["error"]["hint"]


def test_detach_and_rm_need_yes_without_a_terminal(cli: Cli, api: FakeApi) -> None:
    assert cli("sandbox", "network", "detach", "one", "backend").code == 1
    assert cli("sandbox", "network", "rm", "backend").code == 1
    assert changed(api) == []


def test_rm_takes_every_member_off_first(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "network", "rm", "--yes", "backend")

    assert changed(api) == [
        f"DELETE /v1/sandboxes/{sandbox_id(1)}/networks/net-1",
        "DELETE /v1/networks/backend",
    ]
    assert ran.document == {
        "action": "network_deleted",
        "results": [{"ref": "backend", "id": "net-1", "deleted": True}],
        "deleted": 1,
        "failed": 0,
    }
    assert "Detached one from backend" in ran.err


def test_a_network_that_is_not_there_points_to_the_list_of_networks(cli: Cli, api: FakeApi) -> None:
    api.instead["GET /v1/networks/nowhere"] = (404, {"status": "fail", "data": "network not found"})

    ran = cli("sandbox", "network", "show", "nowhere", terminal=True)

    assert ran.err == "Error: network not found\n  createos sandbox network ls shows what there is\n"


def test_rm_goes_on_after_one_that_failed(cli: Cli, api: FakeApi) -> None:
    api.instead["GET /v1/networks/nowhere"] = (404, {"status": "fail", "data": "network not found"})

    ran = cli("sandbox", "network", "rm", "nowhere", "backend", "-y", terminal=True)

    assert ran.code == 1
    assert "nowhere: network not found" in ran.err
    assert "1 of 2 failed" in ran.err
    assert "DELETE /v1/networks/backend" in api.calls


def test_a_url_has_the_port(cli: Cli, api: FakeApi) -> None:
    api.rows[0] |= {"ingress_enabled": True, "ingress_url_template": "https://x-<port>.sandbox.localhost:8443"}

    assert cli("sandbox", "url", "one", "80", "--output", "table").out == "https://x-80.sandbox.localhost:8443\n"


def test_a_sandbox_without_url_says_how_to_get_one(cli: Cli) -> None:
    ran = cli("sandbox", "url", "one", "80")

    assert ran.code == 1
    assert ran.document["error"]["hint"] == "createos sandbox edit one --ingress on"


def test_trust_can_print_the_certificate(cli: Cli, api: FakeApi) -> None:
    answer(api, "GET /v1/ingress", {"enabled": True, "domain": "sandbox.localhost", "certificate": "PEM\n"})

    assert cli("trust", "--print", "--output", "table").out == "PEM\n"
    assert json.loads(cli("trust", "--print").out)["certificate"] == "PEM\n"


def test_trust_says_when_there_is_nothing_to_trust(cli: Cli, api: FakeApi) -> None:
    answer(api, "GET /v1/ingress", {"enabled": False, "domain": "sandbox.localhost"})

    assert "no public URLs" in cli("trust").document["error"]["message"]
