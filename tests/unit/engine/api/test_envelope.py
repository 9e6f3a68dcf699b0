"""JSend, status codes, request ids: what every answer has in common."""

from __future__ import annotations

import httpx
import pytest
from createos_engine.api.envelope import STATUS, status_of
from createos_engine.errors import (
    Conflict,
    EngineError,
    Forbidden,
    GuestFailed,
    HostFailed,
    Invalid,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from createos_engine.words import Readiness
from structlog.typing import EventDict

from tests.fakes.services import FakeWorld

CREATE = {"shape": "s-1vcpu-256mb"}


def test_every_direct_kind_of_failure_has_a_status() -> None:
    assert set(EngineError.__subclasses__()) == set(STATUS)


def test_a_kind_below_a_listed_one_has_its_status() -> None:
    assert status_of(GuestFailed("x")) == STATUS[HostFailed]


@pytest.mark.parametrize(
    ("error", "status", "data"),
    [
        (Invalid("unknown shape: x", hint="see shapes", field="shape"), 400, {"shape": "unknown shape: x; see shapes"}),
        (Invalid("no"), 400, "no"),
        (Unauthenticated("invalid api key", field="auth"), 401, {"auth": "invalid api key"}),
        (Forbidden("not yours"), 403, "not yours"),
        (NotFound("sandbox not found"), 404, "sandbox not found"),
        (Conflict("sandbox is paused", hint="resume it"), 409, "sandbox is paused; resume it"),
        (TooLarge("too much"), 413, "too much"),
    ],
)
async def test_an_expected_failure_is_a_fail_with_its_text_in_data(
    client: httpx.AsyncClient, world: FakeWorld, error: EngineError, status: int, data: object
) -> None:
    world.sandboxes.refuse = error

    answer = await client.post("/v1/sandboxes", json=CREATE)

    assert (answer.status_code, answer.json()) == (status, {"status": "fail", "data": data})


@pytest.mark.parametrize(
    ("error", "status"),
    [(Unavailable("no memory", hint="later"), 503), (HostFailed("qemu says no", hint="later", field="disk_mib"), 500)],
)
async def test_a_failure_of_the_host_carries_its_text_twice(
    client: httpx.AsyncClient, world: FakeWorld, error: EngineError, status: int
) -> None:
    world.sandboxes.refuse = error

    answer = await client.post("/v1/sandboxes", json=CREATE)

    text = error.sentence
    assert answer.status_code == status
    assert answer.json() == {"status": "error", "message": text, "code": status, "data": text}
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_a_bug_is_logged_and_shows_nothing_but_its_request_id(
    client: httpx.AsyncClient, world: FakeWorld, logs: list[EventDict]
) -> None:
    world.sandboxes.refuse = ZeroDivisionError("secret detail")

    answer = await client.post("/v1/sandboxes", json=CREATE)

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["data"]
    assert any("exc_info" in entry for entry in logs)


async def test_every_answer_has_a_request_id_of_its_own(client: httpx.AsyncClient) -> None:
    answers = [
        await client.get("/healthz", headers={"x-request-id": "forged"}),
        await client.get("/nonsense"),
        await client.put("/v1/sandboxes"),
        await client.post("/v1/sandboxes", json={}),
        await client.get("/v1/whoami", headers={"host": "evil.example"}),
    ]

    ids = {answer.headers["x-request-id"] for answer in answers}
    assert [answer.status_code for answer in answers] == [200, 404, 405, 400, 403]
    assert len(ids) == 5
    assert "forged" not in ids


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/sandboxes/sb-1/explode", 404),
        ("GET", "/v1/devices", 404),
        ("GET", "/v1/sandboxes/", 404),
        ("PUT", "/v1/sandboxes/sb-1", 405),
    ],
)
async def test_what_is_not_offered_is_named(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == status
    assert answer.json() == {"status": "fail", "data": f"this server does not offer {method} {path}"}


async def test_a_host_that_is_not_ready_says_why(client: httpx.AsyncClient, world: FakeWorld) -> None:
    world.health.state = Readiness(False, reason="no libvirt", notes=("hm",))

    answer = await client.get("/readyz")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["data"] == {"ready": False, "reason": "no libvirt", "notes": ["hm"]}


async def test_a_body_that_says_it_is_too_long_is_not_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/sandboxes", content=b"{}", headers={"content-length": str(16 * 2**20 + 1)})

    assert answer.status_code == 413


async def test_a_body_without_a_length_is_read_up_to_the_limit(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> object:
        nonlocal sent
        while True:
            sent += 2**20
            yield b" " * 2**20

    headers = {"content-type": "application/json"}
    answer = await client.post("/v1/sandboxes", content=endless(), headers=headers)  # type: ignore[arg-type]

    assert answer.status_code == 413
    assert sent < 20 * 2**20
