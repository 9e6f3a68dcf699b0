"""Routes of templates (wire-api 15)."""

from __future__ import annotations

import json

import httpx
import pytest

GOOD = {"name": "my-rails", "dockerfile": "FROM debian:12\nRUN true\n"}


async def test_a_submission_answers_with_the_template(client: httpx.AsyncClient) -> None:
    data = (await client.post("/v1/templates", json={**GOOD, "base": "ignored"})).json()["data"]

    assert data["id"].startswith("tpl_")
    assert {key: data[key] for key in ("name", "base", "status")} == {
        "name": "my-rails",
        "base": "debian:12",
        "status": "ready",
    }
    assert "dockerfile" not in data


async def test_the_dockerfile_is_shown_when_it_is_asked_for(client: httpx.AsyncClient) -> None:
    await client.post("/v1/templates", json=GOOD)

    data = (await client.get("/v1/templates/my-rails", params={"include": "dockerfile"})).json()["data"]

    assert data["dockerfile"] == GOOD["dockerfile"]


async def test_lists_are_wrapped_twice(client: httpx.AsyncClient) -> None:
    await client.post("/v1/templates", json=GOOD)

    data = (await client.get("/v1/templates")).json()["data"]

    assert [row["name"] for row in data["data"]] == ["my-rails"]
    assert data["pagination"] == {"total": 1, "limit": 50, "offset": 0, "count": 1}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dockerfile": "FROM debian:12"}, "name"),
        ({"name": "x"}, "dockerfile"),
        ({"name": "Not A Name", "dockerfile": "FROM debian:12"}, "name"),
        ({"name": "-x", "dockerfile": "FROM debian:12"}, "name"),
        ({"name": "x" * 64, "dockerfile": "FROM debian:12"}, "name"),
        ({"name": "x", "dockerfile": " \n"}, "dockerfile"),
        ({"name": "x", "dockerfile": "FROM debian:12\0"}, "dockerfile"),
        ({"name": "x", "dockerfile": "FROM debian:12\nCOPY . /"}, "dockerfile"),
        ({"name": "x", "dockerfile": 7}, "dockerfile"),
    ],
)
async def test_what_is_wrong_is_said_by_field(client: httpx.AsyncClient, body: object, field: str) -> None:
    answer = await client.post("/v1/templates", json=body)

    assert answer.status_code == 400
    assert list(answer.json()["data"]) == [field]


async def test_the_log_is_plain_text(client: httpx.AsyncClient) -> None:
    await client.post("/v1/templates", json=GOOD)

    answer = await client.get("/v1/templates/my-rails/logs", params={"attempt": 0})

    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "STEP FROM debian:12\nSTEP RUN true\n"


async def test_a_followed_log_ends_with_the_status(client: httpx.AsyncClient) -> None:
    await client.post("/v1/templates", json={"name": "bad", "dockerfile": "FROM debian:12\nRUN false\n"})

    answer = await client.get("/v1/templates/bad/logs", params={"follow": "true"})
    frames = [json.loads(line) for line in answer.text.splitlines()]

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert frames[0] == {"ts": frames[0]["ts"], "line": "STEP FROM debian:12", "attempt": 1}
    assert frames[-1] == {"final": True, "status": "failed"}


async def test_a_removed_template_is_gone(client: httpx.AsyncClient) -> None:
    await client.post("/v1/templates", json=GOOD)

    removed = await client.delete("/v1/templates/my-rails")

    assert removed.json()["data"]["deleted"] is True
    assert (await client.get("/v1/templates/my-rails")).status_code == 404
    assert (await client.delete("/v1/templates/my-rails")).status_code == 404
