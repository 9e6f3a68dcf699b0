"""Keys of a sandbox, and where the gateway is."""

from __future__ import annotations

from typing import Any

import asyncssh
import httpx
import pytest
from createos_engine.words import SshGateway

from tests.fakes.services import FakeWorld


def line(comment: str = "me") -> str:
    return asyncssh.generate_private_key("ssh-ed25519", comment=comment).export_public_key().decode().strip()


@pytest.fixture
async def box(client: httpx.AsyncClient) -> str:
    answer = await client.post("/v1/sandboxes", json={"shape": "s-1vcpu-256mb", "name": "box"})
    return str(answer.json()["data"]["id"])


async def add(client: httpx.AsyncClient, box: str, *keys: Any) -> httpx.Response:
    return await client.post(f"/v1/sandboxes/{box}/ssh-pubkeys", json={"keys": list(keys)})


async def test_keys_are_added_to_those_that_are_there(client: httpx.AsyncClient, box: str, world: FakeWorld) -> None:
    first, second = line(), line()

    await add(client, box, first)
    answer = await add(client, "box", second, first.replace("me", "again"), second)

    assert answer.json() == {"status": "success", "data": {"count": 2}}
    assert world.sandboxes.rows[box].ssh_pubkeys == (first, second)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "keys"),
        ({"keys": []}, "keys is empty"),
        ({"keys": ["nonsense"]}, "must be one line"),
        ({"keys": ["ssh-ed25519 AAAA"]}, "cannot be read"),
        ({"keys": [line()] * 65}, "65 SSH keys are too many"),
        ({"keys": "ssh-ed25519"}, "keys"),
    ],
)
async def test_what_is_no_list_of_keys_is_refused(
    client: httpx.AsyncClient, box: str, world: FakeWorld, body: object, said: str
) -> None:
    answer = await client.post(f"/v1/sandboxes/{box}/ssh-pubkeys", json=body)

    assert answer.status_code == 400
    assert said in str(answer.json()["data"])
    assert world.sandboxes.rows[box].ssh_pubkeys == ()


async def test_a_sandbox_of_somebody_else_is_not_found(client: httpx.AsyncClient, box: str) -> None:
    answer = await client.post(
        f"/v1/sandboxes/{box}/ssh-pubkeys", json={"keys": [line()]}, headers={"X-Api-Key": "skp_bob"}
    )

    assert answer.status_code == 404


async def test_the_gateway_says_where_it_is_and_how_to_know_it(client: httpx.AsyncClient, world: FakeWorld) -> None:
    data = (await client.get("/v1/ssh-gateway")).json()["data"]

    assert data == {
        "host": "127.0.0.1",
        "port": 2222,
        "host_key": world.ssh.gateway.host_key,
        "fingerprint": "SHA256:fake",
    }


async def test_a_gateway_that_is_not_there_says_why(client: httpx.AsyncClient, world: FakeWorld) -> None:
    world.ssh.gateway = SshGateway("127.0.0.1", 2222, reason="something else listens there")

    data = (await client.get("/v1/ssh-gateway")).json()["data"]

    assert data == {"host": "127.0.0.1", "port": 2222, "reason": "something else listens there"}
