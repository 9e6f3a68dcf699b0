"""A sandbox API in memory, as a transport: what the command line sees, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from createos_cli.wire import Request, Response

JsonObject = dict[str, Any]
Answer = tuple[int, Any]

SHAPES = [
    {"id": "s-1vcpu-256mb", "vcpu": 1, "mem_mib": 256, "default_disk_mib": 10240},
    {"id": "s-2vcpu-2gb", "vcpu": 2, "mem_mib": 2048, "default_disk_mib": 10240},
]
ROOTFS = {
    "rootfs": ["devbox:1", "debian:12"],
    "default": "devbox:1",
    "entries": [
        {"name": "devbox:1", "description": "Debian with bash, git & python"},
        {"name": "debian:11", "description": "old", "deprecated": True, "successor": "debian:12"},
    ],
}
USER = {
    "id": "usr-1",
    "email": "ada@example.org",
    "displayName": "Ada",
    "username": "ada",
    "createdAt": "2026-01-02T03:04:05Z",
}
WHOAMI = {"user_id": "usr-1", "stats": {"running": 2, "paused": 1, "other": 0, "total": 3}}
TOKEN = "ck_local_0123456789"


def sandbox(place: int, name: str = "", status: str = "running", **more: Any) -> JsonObject:
    """A row; a higher *place* is newer."""
    row = {
        "id": sandbox_id(place),
        "name": name or f"box-{place}",
        "status": status,
        "shape": "s-1vcpu-256mb",
        "rootfs": "devbox:1",
        "vcpu": 1,
        "mem_mib": 256,
        "disk_mib": 10240,
        "ip": f"10.77.0.{place}",
        "region": "local",
        "ingress_enabled": False,
        "created_at": f"2026-11-23T10:{place:02}:00.123456Z",
        "running_at": f"2026-11-23T10:{place:02}:05Z",
    }
    return {**row, **more}


def sandbox_id(place: int) -> str:
    """The id of the row with this place."""
    return f"sb-01kaq0000000000000000{place:05}"


@dataclass
class FakeApi:
    """Rows that answer, the requests that came, and answers that replace the usual ones by `METHOD /path`."""

    rows: list[JsonObject] = field(default_factory=list)
    keys: frozenset[str] = frozenset({TOKEN})
    instead: dict[str, Answer] = field(default_factory=dict)
    exec_result: JsonObject = field(default_factory=lambda: {"stdout": "", "stderr": "", "exit_code": 0})
    frames: list[bytes] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        self.requests.append(request)
        parts = urlsplit(request.path)
        query, body = dict(parse_qsl(parts.query)), json.loads(request.body) if request.body else {}
        status, data = self._answer(request, unquote(parts.path), query, body)
        headers = {"x-request-id": "req-7", "content-type": "application/json"}
        pieces = data if isinstance(data, list) else [json.dumps(data).encode()]
        return Response(status, headers, pieces)

    @property
    def bodies(self) -> list[JsonObject]:
        """The JSON of every request that had some."""
        return [json.loads(request.body) for request in self.requests if request.body]

    @property
    def calls(self) -> list[str]:
        """`METHOD /path?query` of every request."""
        return [f"{request.method} {request.path}" for request in self.requests]

    def _answer(self, request: Request, path: str, query: Mapping[str, str], body: JsonObject) -> Answer:
        route = f"{request.method} {path}"
        key = request.headers.get("X-Api-Key")
        if route in self.instead:
            return self.instead[route]
        if key is not None and key not in self.keys:
            return 401, {"status": "fail", "data": {"auth": "invalid api key"}}
        status, data = self._route(route, path, query, body)
        return (
            (status, data) if isinstance(data, list) or status >= 400 else (status, {"status": "success", "data": data})
        )

    def _route(self, route: str, path: str, query: Mapping[str, str], body: JsonObject) -> Answer:
        plain: dict[str, Callable[[], Any]] = {
            "GET /v1/shapes": lambda: _page(SHAPES),
            "GET /v1/rootfs": lambda: ROOTFS,
            "GET /v1/users/me": lambda: USER,
            "GET /v1/whoami": lambda: WHOAMI,
            "POST /v1/local/tokens": lambda: {"token": TOKEN, "user_id": "usr-1"},
            "GET /v1/sandboxes": lambda: _page(
                [row for row in self.rows if row["status"] == query.get("status", row["status"])]
            ),
            "POST /v1/sandboxes": lambda: sandbox(9, **{key: body[key] for key in ("name", "shape") if key in body}),
        }
        if route in plain:
            return 200, plain[route]()
        row = next((row for row in self.rows if path.split("/")[3:4] == [row["id"]]), None)
        if row is None:
            return 404, {"status": "fail", "data": "sandbox not found"}
        return self._of_sandbox(route.replace(row["id"], "ID"), row, query, body)

    def _of_sandbox(self, route: str, row: JsonObject, query: Mapping[str, str], body: JsonObject) -> Answer:
        if route == "PATCH /v1/sandboxes/ID":
            return 200, _patched(row, body)
        if route == "POST /v1/sandboxes/ID/ssh-pubkeys":
            row["ssh_pubkeys"] = [*row.get("ssh_pubkeys", []), *body["keys"]]
            return 200, {"count": len(row["ssh_pubkeys"])}
        if route == "GET /v1/sandboxes/ID":
            return 200, row
        if route == "DELETE /v1/sandboxes/ID":
            return 200, {"id": row["id"], "status": "destroying"}
        if route == "POST /v1/sandboxes/ID/exec":
            return 200, self.frames if query.get("stream") == "true" else {"result": self.exec_result, "exec_ms": 1.5}
        return 404, {"status": "fail", "data": "no such route"}


def _patched(row: JsonObject, body: JsonObject) -> JsonObject:
    if "ingress_enabled" in body:
        row["ingress_enabled"] = body["ingress_enabled"]
        row.pop("ingress_url_template", None)
        if row["ingress_enabled"]:
            row["ingress_url_template"] = f"https://{row['id'].removeprefix('sb-')}-<port>.sandbox.localhost"
    if body.get("disable_auto_pause"):
        row.pop("auto_pause_after_seconds", None)
    if "auto_pause_after_seconds" in body:
        row["auto_pause_after_seconds"] = body["auto_pause_after_seconds"]
    return row


def page(rows: list[JsonObject]) -> Answer:
    """An answer for `instead` that holds rows."""
    return 200, {"status": "success", "data": _page(rows)}


def _page(rows: list[JsonObject]) -> JsonObject:
    return {"data": rows, "pagination": {"total": len(rows), "limit": 50, "offset": 0, "count": len(rows)}}
