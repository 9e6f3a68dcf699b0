"""Routes of egress rules and bandwidth."""

from __future__ import annotations

import httpx
import pytest

from tests.fakes.rows import sandbox
from tests.fakes.services import FakeWorld

BOX = "/v1/sandboxes/demo-box"


@pytest.fixture(autouse=True)
def _box(world: FakeWorld) -> None:
    world.sandboxes.add(sandbox(name="demo-box"))


async def test_rules_are_an_array_even_when_there_are_none(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{BOX}/egress")

    assert answer.json()["data"] == {"id": answer.json()["data"]["id"], "egress": []}


async def test_rules_are_replaced_and_presets_put_in_place(client: httpx.AsyncClient) -> None:
    answer = await client.put(f"{BOX}/egress", json={"egress": ["example.org:443", "preset:pypi", "example.org:443"]})

    assert answer.json()["data"]["egress"] == ["example.org:443", "pypi.org:443", "files.pythonhosted.org:443"]
    assert (await client.get(BOX)).json()["data"]["egress"] == answer.json()["data"]["egress"]


@pytest.mark.parametrize(
    "body", [{}, {"egress": None}, {"egress": []}, {"egress": ["*"]}, {"egress": ["a.example", "*"]}, None]
)
async def test_nothing_and_a_star_allow_everything(client: httpx.AsyncClient, body: object) -> None:
    await client.put(f"{BOX}/egress", json={"egress": ["example.org"]})

    answer = await client.put(f"{BOX}/egress", json=body) if body is not None else await client.put(f"{BOX}/egress")

    assert (answer.status_code, answer.json()["data"]["egress"]) == (200, [])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["https://example.org"], "names a protocol"),
        (["example.org:0"], "no port from 1 to 65535"),
        (["preset:nothing"], "no egress preset 'nothing'"),
        ([7], "egress"),
        ("example.org", "egress"),
    ],
)
async def test_a_malformed_rule_is_400_and_changes_nothing(client: httpx.AsyncClient, rules: object, said: str) -> None:
    await client.put(f"{BOX}/egress", json={"egress": ["example.org"]})

    answer = await client.put(f"{BOX}/egress", json={"egress": rules})

    assert answer.status_code == 400
    assert said in answer.text
    assert (await client.get(f"{BOX}/egress")).json()["data"]["egress"] == ["example.org"]


async def test_denials_come_latest_first(client: httpx.AsyncClient) -> None:
    answer = (await client.get(f"{BOX}/egress/denials", params={"limit": 1})).json()["data"]

    assert answer["pagination"] == {"total": 2, "limit": 1, "offset": 0, "count": 1}
    assert [row["target"] for row in answer["data"]] == ["bad.example"]
    assert "port" not in answer["data"][0]


async def test_an_explanation_says_what_would_happen(client: httpx.AsyncClient) -> None:
    await client.put(f"{BOX}/egress", json={"egress": ["example.org"]})

    answer = await client.get(f"{BOX}/egress/explain", params={"host": "example.org", "port": 443})

    assert answer.json()["data"] == {
        "host": "example.org",
        "port": 443,
        "allowed": True,
        "reason": "a rule says so",
        "rules": ["example.org"],
    }
    assert (await client.get(f"{BOX}/egress/explain", params={"host": "a b"})).json()["data"].keys() == {"host"}
    assert (await client.get(f"{BOX}/egress/explain", params={"host": "a", "port": 65536})).status_code == 400


async def test_bandwidth_has_all_six_keys(client: httpx.AsyncClient) -> None:
    data = (await client.get(f"{BOX}/bandwidth")).json()["data"]

    assert data == {
        "id": data["id"],
        "quota_bytes": -1,
        "used_bytes": 1000,
        "ingress_bytes": 2000,
        "remaining_bytes": -1,
        "capped": False,
    }


@pytest.mark.parametrize("add", [0, -1, "7", None, 1.5])
async def test_a_recharge_adds_something(client: httpx.AsyncClient, add: object) -> None:
    answer = await client.post(f"{BOX}/bandwidth/recharge", json={"add_bytes": add})

    assert answer.status_code == 400
    assert "add_bytes" in answer.json()["data"]


async def test_a_recharge_of_an_unmetered_sandbox_changes_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{BOX}/bandwidth/recharge", json={"add_bytes": 7})

    assert answer.json()["data"]["quota_bytes"] == -1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "egress"),
        ("PUT", "egress"),
        ("GET", "egress/denials"),
        ("GET", "egress/explain?host=a"),
        ("GET", "bandwidth"),
        ("POST", "bandwidth/recharge"),
    ],
)
async def test_a_sandbox_of_somebody_else_is_not_found(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, f"/v1/sandboxes/not-mine/{path}", json={"add_bytes": 1, "egress": []})

    assert answer.status_code == 404
