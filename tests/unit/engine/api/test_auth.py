"""Who may ask: one credential, or a local user on the unix socket, and never a web page."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest
from createos_engine.api.asgi import PEER_UID
from createos_engine.words import State
from fastapi import FastAPI

from tests.fakes.rows import sandbox
from tests.fakes.services import BOB, KEY, FakeWorld

PUBLIC = ("/healthz", "/readyz", "/v1/shapes", "/v1/rootfs")
CLOSED = ("/v1/whoami", "/v1/users/me", "/v1/hosts", "/v1/sandboxes", "/v1/sandboxes/x", "/v1/sandboxes/by-ip/10.0.0.1")


def visitor(app: FastAPI, *, uid: int | None = None, **headers: str) -> httpx.AsyncClient:
    """Return a client without a key; with *uid* it comes over the unix socket."""

    async def socket(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await app(scope if uid is None else {**scope, PEER_UID: uid}, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(socket), base_url="http://localhost", headers=headers)


@pytest.mark.parametrize("path", PUBLIC)
async def test_public_routes_need_no_credential_and_mind_no_bad_one(app: FastAPI, path: str) -> None:
    assert (await visitor(app).get(path)).status_code == 200
    assert (await visitor(app).get(path, headers={"x-api-key": "wrong"})).status_code == 200


@pytest.mark.parametrize("path", CLOSED)
async def test_every_other_route_needs_one(app: FastAPI, path: str) -> None:
    for headers in ({}, {"x-api-key": "wrong"}, {"x-api-key": ""}):
        answer = await visitor(app).get(path, headers=headers)

        assert (answer.status_code, list(answer.json()["data"])) == (401, ["auth"])


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Api-Key": KEY},
        {"x-access-token": KEY},
        {"X-AUTH-TOKEN": KEY},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer  {KEY} "},
    ],
)
async def test_each_credential_header_is_understood(app: FastAPI, headers: dict[str, str]) -> None:
    answer = await visitor(app).get("/v1/whoami", headers=headers)

    assert answer.json()["data"]["user_id"] == "usr-1"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Api-Key": KEY, "Authorization": f"Bearer {KEY}"},
        {"X-Api-Key": KEY, "X-Access-Token": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": "Bearer "},
    ],
)
async def test_two_credentials_or_another_scheme_are_refused(app: FastAPI, headers: dict[str, str]) -> None:
    for uid in (None, 1000):
        answer = await visitor(app, uid=uid).get("/v1/whoami", headers=headers)

        assert (answer.status_code, list(answer.json()["data"])) == (401, ["auth"])


async def test_the_same_header_twice_is_refused(app: FastAPI) -> None:
    answer = await visitor(app).get("/v1/whoami", headers=[("x-api-key", KEY), ("x-api-key", KEY)])

    assert answer.status_code == 401


async def test_the_peer_of_the_unix_socket_is_a_user_without_a_key(app: FastAPI) -> None:
    answer = await visitor(app, uid=1000).get("/v1/whoami")

    assert answer.json()["data"]["user_id"] == "usr-local-1000"


async def test_a_credential_on_the_unix_socket_counts(app: FastAPI) -> None:
    good = await visitor(app, uid=1000).get("/v1/whoami", headers={"x-api-key": KEY})
    bad = await visitor(app, uid=1000).get("/v1/whoami", headers={"x-api-key": "wrong"})

    assert good.json()["data"]["user_id"] == "usr-1"
    assert bad.status_code == 401


async def test_a_local_user_gets_a_token_that_works_over_tcp(app: FastAPI) -> None:
    minted = (await visitor(app, uid=7).post("/v1/local/tokens", json={})).json()["data"]

    answer = await visitor(app).get("/v1/users/me", headers={"x-api-key": minted["token"]})

    assert (minted["user_id"], minted["name"]) == ("usr-local-7", "uid 7")
    assert answer.json()["data"]["id"] == "usr-local-7"


@pytest.mark.parametrize("headers", [{}, {"x-api-key": KEY}])
async def test_nobody_else_gets_a_token(app: FastAPI, world: FakeWorld, headers: dict[str, str]) -> None:
    answer = await visitor(app).post("/v1/local/tokens", json={}, headers=headers)

    assert answer.status_code == 403
    assert len(world.accounts.tokens) == 2


async def test_a_wrong_key_on_the_unix_socket_gets_no_token(app: FastAPI) -> None:
    answer = await visitor(app, uid=7).post("/v1/local/tokens", json={}, headers={"x-api-key": "wrong"})

    assert answer.status_code == 401


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_the_sandbox_of_somebody_else_is_as_unknown_as_none(app: FastAPI, world: FakeWorld, method: str) -> None:
    theirs = world.sandboxes.add(sandbox(user_id=BOB.id, state=State.RUNNING))
    me = visitor(app, **{"x-api-key": KEY})

    answers = [await me.request(method, f"/v1/sandboxes/{ref}") for ref in (theirs.id, theirs.name, "nothing")]

    assert [answer.status_code for answer in answers] == [404] * 3
    assert {answer.text for answer in answers} == {'{"status":"fail","data":"sandbox not found"}'}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:4545", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:80", 200),
        ("box.example:80", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("localhost@evil.example", 403),
        ("", 403),
        ("[", 403),
        ("[::1", 403),
    ],
)
async def test_only_names_of_this_server_are_answered(app: FastAPI, host: str, status: int) -> None:
    answer = await visitor(app).get("/healthz", headers={"host": host})

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://box.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("", 403),
    ],
)
async def test_web_pages_of_other_hosts_are_refused(app: FastAPI, origin: str, status: int) -> None:
    answer = await visitor(app).get("/healthz", headers={"origin": origin})

    assert answer.status_code == status


async def test_host_and_origin_do_not_matter_on_the_unix_socket(app: FastAPI) -> None:
    answer = await visitor(app, uid=0).get("/v1/whoami", headers={"host": "createosd", "origin": "null"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "localhost"), ("host", "evil.example")],
        [("host", "localhost"), ("origin", "http://localhost"), ("origin", "https://evil.example")],
    ],
)
async def test_a_second_host_or_origin_is_no_way_around_the_first(app: FastAPI, headers: list[tuple[str, str]]) -> None:
    request = httpx.Request("GET", "http://localhost/healthz", headers=headers)

    answer = await visitor(app).send(request)

    assert answer.status_code == 403
