"""Delegated access tokens: the four routes, and what a token opens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from createos_engine.api import auth
from createos_engine.words import State
from fastapi import FastAPI

from tests.fakes.rows import sandbox
from tests.fakes.services import FakeWorld

ONE, TWO = "sb-01k5zq7m3v8w2x4y6z9abcdefg", "sb-01k5zq7m3v8w2x4y6z9abcdefh"
TOKEN_PATH = f"/v1/sandboxes/{ONE}/access-token"
PUBLIC = {"/healthz", "/readyz", "/v1/shapes", "/v1/rootfs"}
# What a delegated token may do, and nothing else (docs/access.md). `GET` of the sandbox is its own view.
RUNTIME = {
    ("GET", "/v1/sandboxes/{sandbox_id}"),
    ("POST", "/v1/sandboxes/{sandbox_id}/exec"),
}
RUNTIME_AREAS = ("exec", "files", "processes", "shell", "shell-ws", "tunnel", "sync", "computer")


@pytest.fixture(autouse=True)
def _boxes(world: FakeWorld) -> None:
    world.sandboxes.add(sandbox(id=ONE, name="one", state=State.RUNNING))
    world.sandboxes.add(sandbox(id=TWO, name="two", state=State.RUNNING))
    world.sandboxes.add(sandbox(id="sb-bobs", name="bobs", user_id="usr-2", state=State.RUNNING))


async def delegate(app: FastAPI, client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Return a client with a token for sandbox ONE."""
    token = (await client.post(TOKEN_PATH)).json()["data"]["token"]
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost", headers={"X-Api-Key": token}
    )


async def test_a_token_is_shown_once_and_a_hint_from_then_on(client: httpx.AsyncClient) -> None:
    before = (await client.get(TOKEN_PATH)).json()["data"]
    made = (await client.post(TOKEN_PATH)).json()["data"]
    after = (await client.get(TOKEN_PATH)).json()["data"]

    assert before == {"enabled": False}
    assert made["token"].startswith("skp_sb_")
    assert made == {"token": made["token"], "enabled": True, "created_at": "2026-07-01T12:00:00.000Z"}
    assert after == {"enabled": True, "token_hint": "skp_sb_0000…0001", "created_at": "2026-07-01T12:00:00.000Z"}


async def test_a_second_token_is_a_conflict(client: httpx.AsyncClient) -> None:
    await client.post(TOKEN_PATH)

    answer = await client.post(TOKEN_PATH)

    assert answer.status_code == 409
    assert "rotate it" in answer.json()["data"]


async def test_rotating_ends_the_old_token(app: FastAPI, client: httpx.AsyncClient) -> None:
    old = await delegate(app, client)

    new = (await client.post(f"{TOKEN_PATH}/rotate")).json()["data"]

    assert new["rotated_at"]
    assert (await old.get(f"/v1/sandboxes/{ONE}")).status_code == 401
    assert (await old.get(f"/v1/sandboxes/{ONE}", headers={"X-Api-Key": new["token"]})).status_code == 200


async def test_there_is_nothing_to_rotate_without_a_token(client: httpx.AsyncClient) -> None:
    assert (await client.post(f"{TOKEN_PATH}/rotate")).status_code == 404


async def test_a_token_can_be_ended_again_and_again(app: FastAPI, client: httpx.AsyncClient) -> None:
    it = await delegate(app, client)

    answers = [await client.delete(TOKEN_PATH), await client.delete(TOKEN_PATH)]

    assert [(a.status_code, a.json()["data"]) for a in answers] == [(200, {"enabled": False})] * 2
    assert (await it.get(f"/v1/sandboxes/{ONE}")).status_code == 401


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_sandbox_of_somebody_else_has_no_token(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/v1/sandboxes/bobs/access-token")

    assert (answer.status_code, answer.json()["data"]) == (404, "sandbox not found")


@pytest.mark.parametrize("reference", [ONE, "one"])
async def test_a_token_works_inside_its_sandbox(app: FastAPI, client: httpx.AsyncClient, reference: str) -> None:
    it = await delegate(app, client)

    view = await it.get(f"/v1/sandboxes/{reference}")
    ran = await it.post(f"/v1/sandboxes/{reference}/exec", json={"cmd": "echo", "args": ["hi"]})

    assert view.json()["data"]["id"] == ONE
    assert ran.json()["data"]["result"]["stdout"] == "hi\n"


@pytest.mark.parametrize("reference", [TWO, "two", "bobs", "sb-nobody", "nobody", "by-ip"])
async def test_for_every_other_sandbox_the_refusal_is_the_same(
    app: FastAPI, client: httpx.AsyncClient, reference: str
) -> None:
    it = await delegate(app, client)

    for answer in (
        await it.get(f"/v1/sandboxes/{reference}"),
        await it.post(f"/v1/sandboxes/{reference}/exec", json={"cmd": "echo"}),
    ):
        assert answer.status_code == 403
        assert answer.json()["data"] == "this access token is for another sandbox; use your own API key"


async def test_a_name_is_pinned_to_the_sandbox_the_token_is_for(
    app: FastAPI, client: httpx.AsyncClient, world: FakeWorld
) -> None:
    it = await delegate(app, client)
    asked: list[str] = []
    get = world.sandboxes.get

    async def remember(user: Any, ref: str) -> Any:
        asked.append(ref)
        return await get(user, ref)

    world.sandboxes.get = remember  # type: ignore[method-assign]

    await it.get("/v1/sandboxes/one")

    assert asked[-1] == ONE


def routes(app: FastAPI) -> list[tuple[str, str, set[Any]]]:
    """Return method, path and dependencies of every route; fail for one whose dependencies cannot be seen."""
    found = []
    for route in _flat(app.routes):
        dependant = getattr(route, "dependant", None)
        if dependant is None:
            assert route.path == app.openapi_url, f"{route} has no dependencies that could be looked at"
            continue
        calls = {inner.call for inner in _all(dependant)}
        found += [(method, route.path, calls) for method in sorted(getattr(route, "methods", {"WEBSOCKET"}))]
    assert len(found) > len(PUBLIC) + len(RUNTIME)
    return found


def _flat(routes: Iterable[Any]) -> Iterator[Any]:
    for route in routes:
        if router := getattr(route, "original_router", None):
            assert not route.include_context.prefix
            yield from _flat(router.routes)
        else:
            yield route


def _all(dependant: Any) -> Iterator[Any]:
    for inner in dependant.dependencies:
        yield inner
        yield from _all(inner)


def test_every_route_is_public_or_the_owners_or_of_a_sandbox_from_inside(app: FastAPI) -> None:
    """A route that asks nobody who is there would be open to all; one that asks twice would be unclear."""
    for method, path, calls in routes(app):
        guards = calls & {auth.caller, auth.runtime_caller}
        if path in PUBLIC:
            assert not guards, f"{method} {path} is public and asks who is there"
        else:
            assert len(guards) == 1, f"{method} {path} must ask for exactly one of Caller and RuntimeCaller"


def test_only_what_is_done_inside_a_sandbox_is_open_to_delegated_tokens(app: FastAPI) -> None:
    for method, path, calls in routes(app):
        if auth.runtime_caller in calls:
            inside = path.removeprefix("/v1/sandboxes/{sandbox_id}/").split("/")[0]
            assert (method, path) in RUNTIME or inside in RUNTIME_AREAS, f"{method} {path} is open to access tokens"


async def test_every_other_route_refuses_a_delegated_token(app: FastAPI, client: httpx.AsyncClient) -> None:
    it = await delegate(app, client)
    for method, path, calls in routes(app):
        if auth.caller in calls and method != "WEBSOCKET":
            answer = await it.request(method, path.format(**dict.fromkeys(_names(path), ONE)), json={})
            assert answer.status_code == 403, f"{method} {path}: {answer.text}"


def _names(path: str) -> list[str]:
    return [part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith("{")]
