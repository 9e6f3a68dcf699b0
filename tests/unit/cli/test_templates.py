from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi

ROW = {
    "id": "tpl_1",
    "name": "my-rails",
    "base": "debian:12",
    "status": "ready",
    "ext4_size_bytes": 38_797_312,
    "created_at": "2026-11-23T10:00:00Z",
    "built_at": "2026-11-23T10:01:00Z",
}
FRAMES = [{"line": "STEP 1/2: FROM debian:12", "attempt": 1}, {"heartbeat": True}]
PAGE = {"data": [ROW], "pagination": {"total": 1, "limit": 200, "offset": 0, "count": 1}}


@pytest.fixture
def dockerfile(tmp_path: Path) -> Path:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM debian:12\n")
    return path


def answer(api: FakeApi, route: str, data: object) -> None:
    api.instead[route] = (200, {"status": "success", "data": data})


def serve(api: FakeApi, status: str = "ready") -> None:
    answer(api, "POST /v1/templates", {**ROW, "status": "pending"})
    answer(api, "GET /v1/templates", PAGE)
    answer(api, "DELETE /v1/templates/my-rails", {"id": "tpl_1", "deleted": True})
    log = [json.dumps(frame).encode() + b"\n" for frame in [*FRAMES, {"final": True, "status": status}]]
    for name in ("tpl_1", "my-rails"):
        answer(api, f"GET /v1/templates/{name}", ROW)
        api.instead[f"GET /v1/templates/{name}/logs"] = (200, log)


@pytest.mark.parametrize(("status", "code"), [("ready", 0), ("failed", 1)])
def test_submit_follows_the_build_and_its_exit_code_says_how_it_ended(
    cli: Cli, api: FakeApi, dockerfile: Path, status: str, code: int
) -> None:
    serve(api, status)

    ran = cli("sandbox", "template", "submit", "my-rails", "-f", str(dockerfile), "-o", "table")

    assert ran.code == code
    assert "STEP 1/2: FROM debian:12" in ran.out
    assert f"my-rails is {status}" in ran.err


def test_submit_sends_nothing_but_name_and_text(cli: Cli, api: FakeApi, dockerfile: Path) -> None:
    serve(api)

    ran = cli("sandbox", "template", "submit", "my-rails", "--file", str(dockerfile), "--no-follow")

    assert json.loads(ran.out)["action"] == "template_submitted"
    assert api.bodies[-1] == {"name": "my-rails", "dockerfile": "FROM debian:12\n"}


@pytest.mark.parametrize("content", [None, "", b"\xff\xfe"])
def test_a_file_that_is_missing_empty_or_no_text_stops_it_before_a_call(
    cli: Cli, api: FakeApi, tmp_path: Path, content: str | bytes | None
) -> None:
    path = tmp_path / "Dockerfile"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    ran = cli("sandbox", "template", "submit", "my-rails", "-f", str(path))

    assert ran.code == 1
    assert api.calls == []


def test_the_list_is_a_bare_array_and_a_table(cli: Cli, api: FakeApi) -> None:
    serve(api)

    assert json.loads(cli("sandbox", "template", "ls").out) == [ROW]
    table = cli("sandbox", "tpl", "list", "-o", "table").out
    assert table.split()[:5] == ["Name", "ID", "Status", "Size", "Created"]
    assert "37.0 MB" in table


def test_show_has_a_hint_and_the_dockerfile_when_asked(cli: Cli, api: FakeApi) -> None:
    serve(api)
    answer(api, "GET /v1/templates/my-rails", {**ROW, "dockerfile": "FROM debian:12\n"})

    ran = cli("sandbox", "template", "show", "my-rails", "--dockerfile", "-o", "table")

    assert "--rootfs my-rails" in ran.out
    assert "FROM debian:12" in ran.out


def test_rm_needs_force_without_a_terminal(cli: Cli, api: FakeApi) -> None:
    serve(api)

    assert cli("sandbox", "template", "rm", "my-rails").code == 1
    assert api.calls == []
    assert json.loads(cli("sandbox", "template", "rm", "my-rails", "--yes").out)["deleted"] == 1


def test_a_followed_log_ends_with_the_status_as_exit_code(cli: Cli, api: FakeApi) -> None:
    serve(api, "failed")

    assert cli("sandbox", "template", "logs", "my-rails", "--follow").code == 1
