from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from createos_cli import waiting
from createos_cli.argv import Globals
from createos_cli.commands.disk_keys import read_keys
from createos_cli.output import Output
from createos_cli.session import Session
from createos_cli.surroundings import of_process

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, page, sandbox, sandbox_id

CONFIG = {"bucket": "my-bucket", "endpoint": "https://s3.example.org", "use_path_style": True}
DISK = {"id": "disk_1", "name": "data", "kind": "s3", "config": CONFIG, "created_at": "2026-11-23T10:00:00.000Z"}
BOX = sandbox_id(1)
KEYS = ("--access-key", "AKID", "--secret-key", "-")
FLAGS = ("--bucket", "my-bucket", "--endpoint", "https://s3.example.org", *KEYS)
SECRET = "s3cr3t/of+ada"


def place(path: str, status: str = "mounted", **more: str) -> dict[str, Any]:
    """A disk at a path of a sandbox."""
    return {
        **{key: DISK[key] for key in ("name", "kind", "config")},
        "disk_id": DISK["id"],
        "mount_path": path,
        "mount_status": status,
        **more,
    }


def answer(api: FakeApi, route: str, data: Any) -> None:
    api.instead[route] = (200, {"status": "success", "data": data})


@pytest.fixture(autouse=True)
def _world(api: FakeApi) -> None:
    """One disk that the sandbox `one` has, and a sandbox `two` that has none."""
    api.rows = [sandbox(1, "one"), sandbox(2, "two", status="paused")]
    api.instead["GET /v1/disks"] = page([DISK])
    answer(api, "POST /v1/disks", DISK)
    for name in ("data", "disk_1"):
        answer(api, f"GET /v1/disks/{name}", DISK)
        answer(api, f"PATCH /v1/disks/{name}", DISK)
        answer(api, f"DELETE /v1/disks/{name}", {"deleted": True})
    api.instead[f"GET /v1/sandboxes/{BOX}/disks"] = page([place("/mnt/data")])
    api.instead[f"GET /v1/sandboxes/{sandbox_id(2)}/disks"] = page([])
    answer(api, f"POST /v1/sandboxes/{BOX}/disks", {"id": BOX, "ok": True})
    answer(api, f"DELETE /v1/sandboxes/{BOX}/disks/disk_1", {"detached": True})


def changed(api: FakeApi) -> list[str]:
    return [call for call in api.calls if not call.startswith("GET")]


def test_create_sends_what_the_api_takes(cli: Cli, api: FakeApi) -> None:
    ran = cli("sb", "disk", "create", "data", *FLAGS, "--region", "eu-1", "--path-style", stdin=f"{SECRET}\n".encode())

    assert ran.document["action"] == "disk_created"
    assert api.bodies == [
        {
            "name": "data",
            "kind": "s3",
            "config": {**CONFIG, "region": "eu-1"},
            "credentials": {"access_key": "AKID", "secret_key": SECRET},
        }
    ]
    assert SECRET not in ran.out + ran.err


def test_create_says_what_can_be_done_with_it(cli: Cli) -> None:
    ran = cli("sandbox", "disk", "create", "data", *FLAGS, stdin=f"{SECRET}\n".encode(), terminal=True)

    assert "createos sandbox disk attach my-box data:/mnt/data" in ran.out


def test_everything_that_is_missing_is_named_at_once(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "disk", "create", "--bucket", "my-bucket")

    assert (ran.code, api.calls) == (1, [])
    assert "create needs NAME, --endpoint, --access-key, --secret-key" in ran.document["error"]["message"]


def test_what_is_missing_is_asked_for_on_a_terminal(cli: Cli, api: FakeApi) -> None:
    typed = f"data\nmy-bucket\nhttps://s3.example.org\nAKID\n{SECRET}\n"

    ran = cli("sandbox", "disk", "create", terminal=True, stdin=typed.encode())

    assert ran.code == 0
    assert api.bodies[0]["credentials"] == {"access_key": "AKID", "secret_key": SECRET}
    assert (api.bodies[0]["name"], api.bodies[0]["config"]["bucket"]) == ("data", "my-bucket")


def test_an_empty_standard_input_is_no_secret(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "disk", "create", "data", *FLAGS, stdin=b"")

    assert (ran.code, changed(api)) == (1, [])
    assert "found nothing on standard input" in ran.document["error"]["message"]


@pytest.mark.parametrize(("on_terminal", "said"), [(True, "can see a secret"), (False, "")])
def test_a_secret_among_the_words_works_and_is_remarked_on_a_terminal(on_terminal: bool, said: str) -> None:
    err = io.BytesIO()
    around = replace(of_process(), stderr=err, stderr_is_terminal=on_terminal)
    session = Session(around, Globals(), Output(around, as_json=True))

    keys = read_keys(session, "AKID", SECRET, "create")

    assert keys == {"access_key": "AKID", "secret_key": SECRET}
    assert said in err.getvalue().decode()
    assert bool(said) == bool(err.getvalue())


def test_a_trace_shows_no_keys(cli: Cli) -> None:
    ran = cli("--debug", "sandbox", "disk", "rotate", "data", *KEYS, stdin=SECRET.encode())

    assert "PATCH" in ran.err
    assert SECRET not in ran.err
    assert "AKID" not in ran.err


def test_the_list_is_a_table_or_an_array(cli: Cli) -> None:
    shown = cli("sandbox", "disks", "ls", terminal=True).out

    assert "my-bucket" in shown
    assert cli("sandbox", "disk", "list").document == [DISK]


def test_the_list_of_a_sandbox_tells_what_keeps_a_mount(cli: Cli, api: FakeApi) -> None:
    rows = [place("/mnt/data", "error", sub_path="logs", mount_error="no such bucket")]
    api.instead[f"GET /v1/sandboxes/{BOX}/disks"] = page(rows)

    shown = cli("sandbox", "disk", "ls", "--sandbox", "one", terminal=True, columns=200).out

    assert all(text in shown for text in ("/mnt/data", "logs", "error", "no such bucket"))
    assert cli("sandbox", "disk", "ls", "--sandbox", "one").document == rows
    assert "two has no disks" in cli("sandbox", "disk", "ls", "--sandbox", "two", terminal=True).out


def test_show_tells_where_the_bucket_is(cli: Cli) -> None:
    shown = cli("sandbox", "disk", "show", "data", terminal=True).out

    assert "https://s3.example.org" in shown
    assert cli("sandbox", "disk", "show", "data").document == DISK


def test_rotate_sends_only_keys(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "disk", "rotate", "data", *KEYS, stdin=SECRET.encode())

    assert ran.document["action"] == "disk_rotated"
    assert api.bodies == [{"credentials": {"access_key": "AKID", "secret_key": SECRET}}]
    assert cli("sandbox", "disk", "rotate", "data", "--access-key", "AKID").code == 1


@pytest.mark.parametrize("words", ["one data:/mnt/data", "one data /mnt/data", f"{BOX} data:/mnt/data"])
def test_attach_takes_two_words_or_three(cli: Cli, api: FakeApi, words: str) -> None:
    ran = cli("sandbox", "disk", "attach", *words.split())

    assert ran.document == {
        "action": "disk_attached",
        "disk": "data",
        "sandbox_id": BOX,
        "mount_path": "/mnt/data",
    }
    assert api.bodies == [{"disk_id": "data", "mount_path": "/mnt/data"}]


def test_attach_takes_a_folder_and_waits(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "disk", "attach", "one", "data:/mnt/data", "--sub-path", "logs", "--wait")

    assert (ran.document["sub_path"], ran.document["mount_status"]) == ("logs", "mounted")
    assert api.bodies == [{"disk_id": "data", "mount_path": "/mnt/data", "sub_path": "logs"}]


def test_a_mount_that_fails_ends_the_wait_with_the_reason(cli: Cli, api: FakeApi) -> None:
    api.instead[f"GET /v1/sandboxes/{BOX}/disks"] = page([place("/mnt/data", "error", mount_error="no such bucket")])

    ran = cli("sandbox", "disk", "attach", "one", "data:/mnt/data", "--wait")

    assert (ran.code, ran.document["error"]["message"]) == (
        1,
        "the disk could not be mounted at /mnt/data: no such bucket",
    )


def test_a_wait_has_an_end(cli: Cli, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LONGEST_MOUNT_S", 0.0)
    api.instead[f"GET /v1/sandboxes/{BOX}/disks"] = page([place("/mnt/data", "pending")])

    ran = cli("sandbox", "disk", "attach", "one", "data:/mnt/data", "--wait")

    assert "the disk is pending at /mnt/data" in ran.document["error"]["message"]


def test_attach_asks_for_the_path_on_a_terminal_only(cli: Cli, api: FakeApi) -> None:
    assert cli("sandbox", "disk", "attach", "one", "data").code == 1
    assert changed(api) == []
    assert cli("sandbox", "disk", "attach", "one", "data", terminal=True, stdin=b"\n").code == 0
    assert api.bodies == [{"disk_id": "data", "mount_path": "/mnt/data"}]


@pytest.mark.parametrize("words", ["one data:mnt", "one data mnt", "one data:/a /b", "one data:", "one :/mnt"])
@pytest.mark.parametrize("verb", ["attach", "detach"])
def test_words_that_name_no_place_are_refused_at_once(cli: Cli, api: FakeApi, verb: str, words: str) -> None:
    assert cli("sandbox", "disk", verb, *words.split()).code == 1
    assert api.calls == []


@pytest.mark.parametrize("words", ["one data", "one disk_1", "one data:/mnt/data", "one data /mnt/data/"])
def test_detach_needs_a_path_only_when_there_are_several(cli: Cli, api: FakeApi, words: str) -> None:
    ran = cli("sandbox", "disk", "detach", *words.split(), "--yes")

    assert (ran.document["action"], ran.document["mount_path"]) == ("disk_detached", "/mnt/data")
    assert changed(api) == [f"DELETE /v1/sandboxes/{BOX}/disks/disk_1?mount_path=%2Fmnt%2Fdata"]


def test_of_several_places_one_is_named_or_chosen(cli: Cli, api: FakeApi) -> None:
    api.instead[f"GET /v1/sandboxes/{BOX}/disks"] = page([place("/a"), place("/b")])

    vague = cli("sandbox", "disk", "detach", "one", "data", "--yes")
    chosen = cli("sandbox", "disk", "detach", "one", "data", "--yes", terminal=True, stdin=b"2\n")

    assert vague.document["error"]["hint"] == "name one: data:/a"
    assert chosen.code == 0
    assert changed(api) == [f"DELETE /v1/sandboxes/{BOX}/disks/disk_1?mount_path=%2Fb"]


def test_what_is_not_attached_cannot_be_detached(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "disk", "detach", "two", "data", "--yes")

    assert (ran.code, changed(api)) == (1, [])
    assert "does not have disk data" in ran.document["error"]["message"]


def test_detach_and_rm_need_yes_without_a_terminal(cli: Cli, api: FakeApi) -> None:
    assert cli("sandbox", "disk", "detach", "one", "data").code == 1
    assert cli("sandbox", "disk", "rm", "data").code == 1
    assert changed(api) == []


def test_rm_detaches_the_disk_everywhere_first(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "disk", "rm", "--yes", "data")

    assert changed(api) == [
        f"DELETE /v1/sandboxes/{BOX}/disks/disk_1?mount_path=%2Fmnt%2Fdata",
        "DELETE /v1/disks/data",
    ]
    assert ran.document == {
        "action": "disk_deleted",
        "results": [{"ref": "data", "id": "disk_1", "deleted": True}],
        "deleted": 1,
        "failed": 0,
    }
    assert "Detached data from one" in ran.err


def test_rm_goes_on_after_one_that_failed(cli: Cli, api: FakeApi) -> None:
    api.instead["GET /v1/disks/nothing"] = (404, {"status": "fail", "data": "disk not found"})

    ran = cli("sandbox", "disk", "rm", "nothing", "data", "-y", terminal=True)

    assert ran.code == 1
    assert "nothing: disk not found" in ran.err
    assert "DELETE /v1/disks/data" in api.calls


def test_a_disk_that_is_not_there_points_to_the_list_of_disks(cli: Cli, api: FakeApi) -> None:
    api.instead["GET /v1/disks/nothing"] = (404, {"status": "fail", "data": "disk not found"})

    ran = cli("sandbox", "disk", "show", "nothing", terminal=True)

    assert ran.err == "Error: disk not found\n  createos sandbox disk ls shows what there is\n"


def test_a_fork_says_which_disks_the_clones_will_not_have(cli: Cli, api: FakeApi) -> None:
    api.instead[f"GET /v1/sandboxes/{sandbox_id(2)}/disks"] = page([place("/a"), place("/b")])
    answer(api, f"POST /v1/sandboxes/{sandbox_id(2)}/fork", sandbox(1, "one"))

    on_terminal = cli("sandbox", "fork", "two", terminal=True)
    in_a_script = cli("sandbox", "fork", "two")

    assert (on_terminal.code, in_a_script.code) == (0, 0)
    assert on_terminal.err == "Clones come up without the disks of their source: data\n"
    assert in_a_script.err == ""
