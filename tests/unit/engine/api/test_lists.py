"""Pages and filters of lists (wire-api 2.2, 5.3)."""

from __future__ import annotations

import httpx
import pytest
from createos_engine.words import Page, State

from tests.fakes.rows import sandbox
from tests.fakes.services import FakeWorld


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", Page(50, 0)),
        ("?limit=7&offset=3", Page(7, 3)),
        ("?limit=500", Page(500, 0)),
        ("?limit=501", Page(500, 0)),
        ("?limit=0", Page(50, 0)),
        ("?limit=&offset=", Page(50, 0)),
        ("?limit=9999999999999999999", None),
        ("?limit=-1", None),
        ("?limit=1.5", None),
        ("?limit=many", None),
        ("?limit=%D9%A1", None),
        ("?limit=+5", None),
        ("?limit=%00", None),
    ],
)
@pytest.mark.parametrize("path", ["/v1/sandboxes", "/v1/shapes", "/v1/hosts"])
async def test_limit_and_offset_are_whole_numbers_within_bounds(
    client: httpx.AsyncClient, path: str, query: str, page: Page | None
) -> None:
    answer = await client.get(path + query)

    if page is None:
        assert (answer.status_code, list(answer.json()["data"])) == (400, ["limit"])
    else:
        said = answer.json()["data"]["pagination"]
        assert (said["limit"], said["offset"]) == (page.limit, page.offset)


async def test_a_bad_offset_is_named_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/sandboxes?offset=x")

    assert list(answer.json()["data"]) == ["offset"]


async def test_a_page_tells_how_many_there_are_in_all(client: httpx.AsyncClient, world: FakeWorld) -> None:
    for number in range(5):
        world.sandboxes.add(sandbox(id=f"sb-{number}", state=State.RUNNING))

    data = (await client.get("/v1/sandboxes?limit=2&offset=4")).json()["data"]

    assert [row["id"] for row in data["data"]] == ["sb-0"]
    assert data["pagination"] == {"total": 5, "limit": 2, "offset": 4, "count": 1}


@pytest.mark.parametrize("state", State)
async def test_each_state_can_be_asked_for(client: httpx.AsyncClient, world: FakeWorld, state: State) -> None:
    for other in State:
        world.sandboxes.add(sandbox(id=f"sb-{other}", state=other))

    data = (await client.get(f"/v1/sandboxes?status={state}")).json()["data"]

    assert [row["status"] for row in data["data"]] == [state]
    assert data["pagination"]["total"] == 1


@pytest.mark.parametrize("word", ["stopped", "RUNNING", "running,paused", "%00"])
async def test_an_unknown_state_is_refused_with_those_that_exist(client: httpx.AsyncClient, word: str) -> None:
    answer = await client.get(f"/v1/sandboxes?status={word}")

    assert answer.status_code == 400
    assert all(state in answer.json()["data"]["status"] for state in State)
