"""Every answer, letter by letter, as it was reviewed. Write them anew with CREATEOS_GOLDEN=write."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from createos_engine.api.app import create_app
from createos_engine.errors import Conflict, HostFailed, Unavailable
from createos_engine.words import Readiness, State

from tests.fakes.rows import NOON, sandbox
from tests.fakes.services import KEY, FakeWorld

GOLDEN = Path(__file__).parent / "golden"
ID = "sb-01k5zq7m3v8w2x4y6z9abcdefg"
DISK = {
    "name": "data",
    "kind": "s3",
    "config": {"bucket": "my-bucket", "endpoint": "HTTPS://S3.Example.org:443/", "region": "eu-1"},
    "credentials": {"access_key": "AKID", "secret_key": "s3cr3t"},
}


@dataclass(frozen=True)
class Case:
    """One request and the state of the world it meets."""

    method: str
    path: str
    body: object = None
    key: str = KEY
    refuse: Exception | None = None
    row: dict[str, object] = field(default_factory=dict)


CASES = {
    "healthz": Case("GET", "/healthz"),
    "readyz": Case("GET", "/readyz"),
    "readyz-not": Case("GET", "/readyz", refuse=Unavailable("no libvirt")),
    "whoami": Case("GET", "/v1/whoami"),
    "users-me": Case("GET", "/v1/users/me"),
    "shapes": Case("GET", "/v1/shapes"),
    "rootfs": Case("GET", "/v1/rootfs"),
    "hosts": Case("GET", "/v1/hosts"),
    "create": Case("POST", "/v1/sandboxes", {"shape": "s-1vcpu-256mb", "name": "new", "envs": {"B": "2", "A": "1"}}),
    "create-unknown-shape": Case("POST", "/v1/sandboxes", {"shape": "s-bad"}),
    "create-malformed": Case("POST", "/v1/sandboxes", {"name": "No", "disk_mib": "1", "ssh_pubkeys": ["x"]}),
    "create-no-room": Case("POST", "/v1/sandboxes", {"shape": "s"}, refuse=Unavailable("no memory", hint="wait")),
    "create-failed": Case("POST", "/v1/sandboxes", {"shape": "s"}, refuse=HostFailed("no boot", hint="see the log")),
    "list": Case("GET", "/v1/sandboxes"),
    "list-empty": Case("GET", "/v1/sandboxes?status=paused&limit=1000&offset=3"),
    "list-unknown-status": Case("GET", "/v1/sandboxes?status=asleep"),
    "get-creating": Case("GET", f"/v1/sandboxes/{ID}", row={"state": State.CREATING}),
    "get-error": Case("GET", f"/v1/sandboxes/{ID}", row={"state": State.ERROR, "reason": "the machine stopped"}),
    "get-everything": Case(
        "GET",
        f"/v1/sandboxes/{ID}",
        row={
            "state": State.DESTROYED,
            "running_at": NOON + timedelta(microseconds=1_999_999),
            "destroyed_at": NOON + timedelta(days=1),
            "spawn_ms": 0.0,
            "egress": ("example.org",),
            "envs": {"SECRET": "hidden", "A": "hidden"},
            "ssh_pubkeys": ("ssh-ed25519 AAAA",),
            "auto_pause_after_seconds": 60,
            "ingress_enabled": True,
        },
    ),
    "by-ip": Case("GET", "/v1/sandboxes/by-ip/10.77.0.2"),
    "not-found": Case("GET", "/v1/sandboxes/nothing"),
    "not-offered": Case("POST", f"/v1/sandboxes/{ID}/explode"),
    "no-key": Case("GET", "/v1/sandboxes", key=""),
    "wrong-key": Case("GET", "/v1/sandboxes", key="wrong"),
    "delete": Case("DELETE", f"/v1/sandboxes/{ID}"),
    "delete-again": Case("DELETE", f"/v1/sandboxes/{ID}", row={"state": State.DESTROYED}),
    "exec": Case("POST", f"/v1/sandboxes/{ID}/exec", {"cmd": "echo", "args": ["hé"]}),
    "exec-stream": Case("POST", f"/v1/sandboxes/{ID}/exec?stream=true", {"cmd": "echo", "args": ["hé\u2028"]}),
    "exec-no-program": Case("POST", f"/v1/sandboxes/{ID}/exec?stream=1", {"cmd": "nonsense"}),
    "exec-paused": Case("POST", f"/v1/sandboxes/{ID}/exec", {"cmd": "x"}, row={"state": State.PAUSED}),
    "disk-create": Case("POST", "/v1/disks", DISK),
    "disk-create-malformed": Case("POST", "/v1/disks", {"name": "No", "kind": "nfs", "config": {}, "credentials": {}}),
    "disk-create-no-bucket": Case(
        "POST", "/v1/disks", {**DISK, "config": {"bucket": "missing", "endpoint": "http://minio:9000"}}
    ),
    "disk-list-empty": Case("GET", "/v1/disks"),
    "disk-not-found": Case("DELETE", "/v1/disks/data"),
    "attach-malformed": Case("POST", f"/v1/sandboxes/{ID}/disks", {"mount_path": "/proc/x", "sub_path": "/a"}),
    "attachments-empty": Case("GET", f"/v1/sandboxes/{ID}/disks"),
    "conflict": Case("POST", "/v1/sandboxes", {"shape": "s"}, refuse=Conflict("sandbox is destroying")),
    "local-token": Case("POST", "/v1/local/tokens", {}),
}


@pytest.mark.parametrize("name", CASES)
async def test_an_answer_is_what_was_reviewed(name: str) -> None:
    case, world = CASES[name], FakeWorld()
    world.sandboxes.add(sandbox(**({"state": State.RUNNING} | case.row)))
    world.sandboxes.refuse = case.refuse
    world.health.state = Readiness(False, reason=str(case.refuse)) if case.refuse else world.health.state
    transport = httpx.ASGITransport(create_app(world.services))
    headers = {"x-api-key": case.key} if case.key else {}

    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        answer = await client.request(case.method, case.path, json=case.body)

    text = rendered(answer)
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("CREATEOS_GOLDEN") == "write":
        file.write_text(text)
    assert file.read_text() == text


def rendered(answer: httpx.Response) -> str:
    """Return status, type and body, JSON indented for review."""
    body = answer.text
    if answer.headers["content-type"] == "application/json":
        body = json.dumps(answer.json(), indent=2, ensure_ascii=False) + "\n"
    return f"{answer.status_code} {answer.headers['content-type']}\n\n{body}"


def test_no_reviewed_answer_is_left_over() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(CASES)
