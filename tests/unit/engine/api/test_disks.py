"""Routes of S3 disks (wire-api 14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from createos_engine.words import State
from structlog.typing import EventDict

from tests.fakes.rows import sandbox
from tests.fakes.services import ALICE, FakeWorld

SECRET = "s3cr3t/of+alice"
CONFIG = {"bucket": "my-bucket", "endpoint": "https://s3.example.org"}
GOOD: Mapping[str, Any] = {
    "name": "data",
    "kind": "s3",
    "config": {**CONFIG, "region": "eu-1", "use_path_style": True},
    "credentials": {"access_key": "AKID", "secret_key": SECRET},
}


@pytest.fixture
def box(world: FakeWorld) -> str:
    """The path of a running sandbox."""
    world.sandboxes.add(sandbox(name="box", user_id=ALICE.id, state=State.RUNNING))
    return "/v1/sandboxes/box"


async def test_a_disk_is_shown_without_its_keys(
    client: httpx.AsyncClient, world: FakeWorld, logs: list[EventDict]
) -> None:
    made = await client.post("/v1/disks", json=GOOD)

    data = made.json()["data"]
    assert data["id"].startswith("disk_")
    assert {key: data[key] for key in ("name", "kind", "config")} == {
        key: GOOD[key] for key in ("name", "kind", "config")
    }
    assert [(await client.get(f"/v1/disks/{ref}")).json()["data"] for ref in ("data", data["id"])] == [data, data]
    assert (await client.get("/v1/disks")).json()["data"]["data"] == [data]
    assert [keys.secret_key for keys in world.disks.keys.values()] == [SECRET]
    assert SECRET not in made.text
    assert SECRET not in str(logs)


async def test_what_is_not_said_of_a_bucket_is_left_out(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/disks", json={**GOOD, "config": {**CONFIG, "region": "", "more": 1}})

    assert made.json()["data"]["config"] == {**CONFIG, "use_path_style": False}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "Data"}, "name"),
        ({"name": "-data"}, "name"),
        ({"name": "d" * 64}, "name"),
        ({"name": "disk_01KAQ0000000000000000000AB"}, "name"),
        ({"kind": "nfs"}, "kind"),
        ({"kind": None}, "kind"),
        ({"config": "text"}, "config"),
        ({"config": {"bucket": "my-bucket"}}, "config"),
        ({"config": {**CONFIG, "bucket": "a/b"}}, "config"),
        ({"config": {**CONFIG, "endpoint": "s3.example.org"}}, "config"),
        ({"config": {**CONFIG, "region": "eu 1"}}, "config"),
        ({"config": {**CONFIG, "use_path_style": "yes"}}, "config"),
        ({"credentials": {}}, "credentials"),
        ({"credentials": {"access_key": "AKID", "secret_key": ""}}, "credentials"),
        ({"credentials": {"access_key": "a/b", "secret_key": SECRET}}, "credentials"),
        ({"credentials": {"access_key": "AKID", "secret_key": f"{SECRET}\n"}}, "credentials"),
    ],
)
async def test_what_is_wrong_is_said_by_field_and_without_the_secret(
    client: httpx.AsyncClient, wrong: Mapping[str, Any], field: str
) -> None:
    answer = await client.post("/v1/disks", json={**GOOD, **wrong})

    assert answer.status_code == 400
    assert list(answer.json()["data"]) == [field]
    assert SECRET not in answer.text


async def test_a_bucket_that_cannot_be_used_is_a_wrong_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/disks", json={**GOOD, "config": {**CONFIG, "bucket": "missing"}})

    assert (answer.status_code, list(answer.json()["data"])) == (400, ["config"])


async def test_a_name_is_taken_once(client: httpx.AsyncClient) -> None:
    await client.post("/v1/disks", json=GOOD)

    answer = await client.post("/v1/disks", json=GOOD)

    assert (answer.status_code, list(answer.json()["data"])) == (400, ["name"])


async def test_new_keys_replace_the_old_ones(client: httpx.AsyncClient, world: FakeWorld) -> None:
    made = (await client.post("/v1/disks", json=GOOD)).json()["data"]

    answer = await client.patch("/v1/disks/data", json={"credentials": {"access_key": "NEW", "secret_key": "new"}})

    assert answer.json()["data"] == made
    assert world.disks.keys[made["id"]].access_key == "NEW"


@pytest.mark.parametrize("body", [{}, {"credentials": {}}, {"credentials": {"access_key": "NEW"}}])
async def test_a_change_of_nothing_is_refused(client: httpx.AsyncClient, body: object) -> None:
    await client.post("/v1/disks", json=GOOD)

    assert (await client.patch("/v1/disks/data", json=body)).status_code == 400


async def test_a_disk_is_attached_shown_and_detached(client: httpx.AsyncClient, world: FakeWorld, box: str) -> None:
    made = (await client.post("/v1/disks", json=GOOD)).json()["data"]
    place = {"disk_id": "data", "mount_path": "/mnt/data/", "sub_path": "logs/app/"}

    attached = await client.post(f"{box}/disks", json=place)
    rows = (await client.get(f"{box}/disks")).json()["data"]
    in_use = await client.delete("/v1/disks/data")
    detached = await client.delete(f"{box}/disks/{made['id']}", params={"mount_path": ""})

    sandbox_id = next(iter(world.sandboxes.rows))
    assert attached.json()["data"] == {"id": sandbox_id, "ok": True}
    assert rows["data"] == [
        {
            "disk_id": made["id"],
            "name": "data",
            "kind": "s3",
            "config": made["config"],
            "mount_path": "/mnt/data",
            "sub_path": "logs/app",
            "mount_status": "mounted",
        }
    ]
    assert rows["pagination"]["total"] == 1
    assert in_use.status_code == 409
    assert detached.json()["data"] == {"detached": True}
    assert (await client.delete("/v1/disks/data")).json()["data"] == {"deleted": True}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"disk_id": None}, "disk_id"),
        ({"mount_path": None}, "mount_path"),
        ({"mount_path": "mnt"}, "mount_path"),
        ({"mount_path": "/proc/x"}, "mount_path"),
        ({"sub_path": "/logs"}, "sub_path"),
        ({"sub_path": "a/../b"}, "sub_path"),
    ],
)
async def test_a_wrong_place_is_said_by_field(
    client: httpx.AsyncClient, box: str, wrong: Mapping[str, Any], field: str
) -> None:
    await client.post("/v1/disks", json=GOOD)

    answer = await client.post(f"{box}/disks", json={"disk_id": "data", "mount_path": "/mnt", **wrong})

    assert (answer.status_code, list(answer.json()["data"])) == (400, [field])


async def test_a_path_is_taken_once(client: httpx.AsyncClient, box: str) -> None:
    await client.post("/v1/disks", json=GOOD)
    place = {"disk_id": "data", "mount_path": "/mnt"}
    await client.post(f"{box}/disks", json=place)

    assert (await client.post(f"{box}/disks", json=place)).status_code == 409


async def test_detach_must_know_which_of_several_paths(client: httpx.AsyncClient, box: str) -> None:
    await client.post("/v1/disks", json=GOOD)
    for path in ("/a", "/b"):
        await client.post(f"{box}/disks", json={"disk_id": "data", "mount_path": path, "sub_path": None})

    vague = await client.delete(f"{box}/disks/data")
    exact = await client.delete(f"{box}/disks/data", params={"mount_path": "/a/"})

    assert (vague.status_code, exact.status_code) == (400, 200)
    assert [row["mount_path"] for row in (await client.get(f"{box}/disks")).json()["data"]["data"]] == ["/b"]


async def test_what_is_not_there_is_404(client: httpx.AsyncClient, box: str) -> None:
    calls = [
        await client.get("/v1/disks/nothing"),
        await client.delete("/v1/disks/nothing"),
        await client.patch("/v1/disks/nothing", json={"credentials": GOOD["credentials"]}),
        await client.post(f"{box}/disks", json={"disk_id": "nothing", "mount_path": "/mnt"}),
        await client.delete(f"{box}/disks/nothing"),
        await client.get("/v1/sandboxes/nothing/disks"),
    ]

    assert {call.status_code for call in calls} == {404}
