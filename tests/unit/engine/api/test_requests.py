"""What a request may say: every rule of form, and the field that is named when it is broken."""

from __future__ import annotations

import base64
import json

import httpx
import pytest
from createos_engine.words import State

from tests.fakes.rows import sandbox
from tests.fakes.services import FakeWorld

SHAPE = {"shape": "s-1vcpu-256mb"}


ECDSA_KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBOnr1jBuFFEB3hPKbZTypfnA19USYnF2gFgVTBeL"
    "VVsjDptrlGIiFtONtlYjrS4DXh8nS4xOKde/NlFqs6e2kSk="
)


def ssh_key(kind: str = "ssh-ed25519", inner: str = "ssh-ed25519") -> str:
    """Return a line as in a .pub file."""
    blob = len(inner).to_bytes(4) + inner.encode() + (32).to_bytes(4) + bytes(32)
    return f"{kind} {base64.b64encode(blob).decode()} me@here"


GOOD: list[dict[str, object]] = [
    {},
    {"name": "a"},
    {"name": "a" * 63},
    {"name": ""},
    {"name": None},
    {"disk_mib": 0},
    {"disk_mib": 2**31 - 1},
    {"envs": {"A_1": "x" * 4096}},
    {"envs": {f"K{i}": "v" for i in range(64)}},
    {"ssh_pubkeys": [ssh_key(), ECDSA_KEY]},
    {"auto_pause_after_seconds": 60},
    {"auto_pause_after_seconds": 86400},
    {"auto_pause_after_seconds": None},
    {"bandwidth_quota_bytes": 0},
    {"mode": "old clients send this", "future": {"deep": [1]}},
    {"networks": [{"id": "net", "more": 1}], "disks": [{"disk_id": "d", "mount_path": "/d"}]},
]

BAD: list[tuple[dict[str, object], str]] = [
    ({"shape": ""}, "shape"),
    ({"shape": None}, "shape"),
    ({"shape": 5}, "shape"),
    ({"name": "Upper"}, "name"),
    ({"name": "-a"}, "name"),
    ({"name": "a-"}, "name"),
    ({"name": "a.b"}, "name"),
    ({"name": "a\n"}, "name"),
    ({"name": "a" * 64}, "name"),
    ({"name": "sb-01k5zq7m3v8w2x4y6z9abcdefg"}, "name"),
    ({"name": "a\0b"}, "name"),
    ({"name": ["a"]}, "name"),
    ({"rootfs": 1}, "rootfs"),
    ({"rootfs": "a\0"}, "rootfs"),
    ({"disk_mib": "1024"}, "disk_mib"),
    ({"disk_mib": True}, "disk_mib"),
    ({"disk_mib": 1.5}, "disk_mib"),
    ({"disk_mib": -1}, "disk_mib"),
    ({"disk_mib": 2**31}, "disk_mib"),
    ({"disk_mib": 10**400}, "disk_mib"),
    ({"envs": [1]}, "envs"),
    ({"envs": {"1A": "x"}}, "envs"),
    ({"envs": {"": "x"}}, "envs"),
    ({"envs": {"A\n": "x"}}, "envs"),
    ({"envs": {"A": 1}}, "envs"),
    ({"envs": {"A": None}}, "envs"),
    ({"envs": {"A": "x\0"}}, "envs"),
    ({"envs": {"A\0": "x"}}, "envs"),
    ({"envs": {"A": "x" * 4097}}, "envs"),
    ({"envs": {"A": "é" * 2049}}, "envs"),
    ({"envs": {f"K{i}": "v" for i in range(65)}}, "envs"),
    ({"envs": {f"K{i}": "v" * 4000 for i in range(17)}}, "envs"),
    ({"ssh_pubkeys": "ssh-ed25519 AAAA"}, "ssh_pubkeys"),
    ({"ssh_pubkeys": [7]}, "ssh_pubkeys"),
    ({"ssh_pubkeys": ["nonsense"]}, "ssh_pubkeys"),
    ({"ssh_pubkeys": ["ssh-ed25519"]}, "ssh_pubkeys"),
    ({"ssh_pubkeys": ["ssh-ed25519 !!!!"]}, "ssh_pubkeys"),
    ({"ssh_pubkeys": ["ssh-ed25519 AAAAé"]}, "ssh_pubkeys"),
    ({"ssh_pubkeys": [ssh_key(inner="ssh-rsa")]}, "ssh_pubkeys"),
    ({"ssh_pubkeys": [ssh_key() + "\n" + ssh_key()]}, "ssh_pubkeys"),
    ({"ingress_enabled": "yes"}, "ingress_enabled"),
    ({"ingress_enabled": 1}, "ingress_enabled"),
    ({"networks": ["net"]}, "networks"),
    ({"networks": [{}]}, "networks"),
    ({"disks": [{"disk_id": "d"}]}, "disks"),
    ({"disks": [{"disk_id": "d", "mount_path": "mnt"}]}, "disks"),
    ({"disks": [{"disk_id": "d", "mount_path": "/mnt"}, {"disk_id": "e", "mount_path": "/mnt/"}]}, "disks"),
    ({"egress": "example.org"}, "egress"),
    ({"egress": [1]}, "egress"),
    ({"auto_pause_after_seconds": 59}, "auto_pause_after_seconds"),
    ({"auto_pause_after_seconds": 86401}, "auto_pause_after_seconds"),
    ({"auto_pause_after_seconds": "60"}, "auto_pause_after_seconds"),
    ({"auto_pause_after_seconds": True}, "auto_pause_after_seconds"),
    ({"region": 1}, "region"),
    ({"host_id": []}, "host_id"),
    ({"node_selector": {"a": 1}}, "node_selector"),
    ({"bandwidth_quota_bytes": 1}, "bandwidth_quota_bytes"),
    ({"bandwidth_quota_bytes": "0"}, "bandwidth_quota_bytes"),
]


@pytest.mark.parametrize("extra", GOOD, ids=lambda extra: json.dumps(extra)[:40])
async def test_a_good_create_reaches_the_service(
    client: httpx.AsyncClient, world: FakeWorld, extra: dict[str, object]
) -> None:
    answer = await client.post("/v1/sandboxes", json=SHAPE | extra)

    assert (answer.status_code, len(world.sandboxes.wanted)) == (200, 1)


@pytest.mark.parametrize(("extra", "field"), BAD, ids=lambda value: json.dumps(value)[:40])
async def test_a_bad_field_of_create_is_named_in_one_sentence(
    client: httpx.AsyncClient, world: FakeWorld, extra: dict[str, object], field: str
) -> None:
    answer = await client.post("/v1/sandboxes", json=SHAPE | extra)

    body = answer.json()
    assert (answer.status_code, body["status"], list(body["data"])) == (400, "fail", [field])
    assert isinstance(body["data"][field], str)
    assert not world.sandboxes.wanted


EXEC_BAD: list[tuple[dict[str, object], str]] = [
    ({}, "cmd"),
    ({"cmd": ""}, "cmd"),
    ({"cmd": ["ls"]}, "cmd"),
    ({"cmd": "a\0b"}, "cmd"),
    ({"cmd": "ls", "args": "-l"}, "args"),
    ({"cmd": "ls", "args": [1]}, "args"),
    ({"cmd": "ls", "args": ["a\0"]}, "args"),
    ({"cmd": "ls", "stdin": 1}, "stdin"),
    ({"cmd": "ls", "env": {"A": 1}}, "env"),
    ({"cmd": "ls", "env": {"A": "\0"}}, "env"),
    ({"cmd": "ls", "env": {"a b": ""}}, "env"),
    ({"cmd": "ls", "env": {"UNDECLARED": ""}}, "env"),
    ({"cmd": "ls", "stream": "true"}, "stream"),
]


@pytest.mark.parametrize(("body", "field"), EXEC_BAD, ids=lambda value: json.dumps(value)[:40])
async def test_a_bad_field_of_exec_is_named_in_one_sentence(
    client: httpx.AsyncClient, world: FakeWorld, body: dict[str, object], field: str
) -> None:
    row = world.sandboxes.add(sandbox(state=State.RUNNING))

    answer = await client.post(f"/v1/sandboxes/{row.id}/exec", json=body)

    assert (answer.status_code, list(answer.json()["data"])) == (400, [field])
    assert not world.execs.commands


async def test_several_bad_fields_are_all_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/sandboxes", json={"name": 1, "disk_mib": "x", "envs": {"A": 1, "B": 2}})

    assert set(answer.json()["data"]) == {"shape", "name", "disk_mib", "envs"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"{", {"content-type": "application/json"}),
        (b"\xff\xfe", {"content-type": "application/json"}),
        (b"[]", {"content-type": "application/json"}),
        (b"null", {"content-type": "application/json"}),
        (b'"x"', {"content-type": "application/json"}),
        (b"[" * 100_000, {"content-type": "application/json"}),
        (b'{"shape":"s"}', {"content-type": "text/plain"}),
        (b'{"shape":"s"}', {}),
        (b"shape=s", {"content-type": "application/x-www-form-urlencoded"}),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_body_that_is_no_json_object_is_400(
    client: httpx.AsyncClient, body: bytes, headers: dict[str, str]
) -> None:
    answer = await client.post("/v1/sandboxes", content=body, headers=headers)

    assert (answer.status_code, list(answer.json()["data"])) == (400, ["body"])


@pytest.mark.parametrize(
    "body",
    [
        rb'{"shape":"\ud800"}',
        rb'{"shape":"s-1vcpu-256mb","envs":{"A\ud800":"x"}}',
        rb'{"shape":"s-1vcpu-256mb","node_selector":{"A\ud800":1}}',
        rb'{"shape":"s-1vcpu-256mb","name":"\udfff"}',
    ],
)
async def test_half_a_character_is_400_not_a_bug(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/v1/sandboxes", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400
