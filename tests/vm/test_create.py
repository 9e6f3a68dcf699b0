"""Creates: many at once, and what is refused or fails leaves nothing behind."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from createos_images.cache import DEFAULT_CACHE

from tests.vm.engine import LiveEngine, live_engine, wait_for


def refused(engine: LiveEngine, status: int, **wanted: object) -> dict[str, str] | str:
    answer = engine.http.post("/v1/sandboxes", json=wanted)
    assert answer.status_code == status, answer.text
    data: dict[str, str] | str = answer.json()["data"]
    return data


def test_the_answer_has_everything_a_client_needs(engine: LiveEngine) -> None:
    box = engine.create(name="whole", envs={"B": "2", "A": "1"}, ssh_pubkeys=[])

    row, view = box.row, box.view()
    box.destroy()

    assert row["status"] == "running"
    assert row["ip"].startswith("10.")
    assert row["spawn_ms"] > 0
    assert row["egress"] == []
    assert row["bandwidth_quota_bytes"] == -1
    assert view["envs"] == ["A", "B"]
    assert "egress" not in view


def test_without_a_name_one_is_made_up(engine: LiveEngine) -> None:
    box = engine.create()
    box.destroy()

    assert box.row["name"].count("-") == 1


@pytest.mark.parametrize(
    ("wanted", "field", "said"),
    [
        ({"shape": "s-bad"}, "shape", "unknown shape: s-bad"),
        ({}, "shape", "shape is required"),
        ({"shape": 5}, "shape", "must be text"),
        ({"shape": "s-1vcpu-256mb", "name": "Bad Name"}, "name", "1 to 63 characters"),
        ({"shape": "s-1vcpu-256mb", "name": "shared"}, "name", "already have a sandbox named shared"),
        ({"shape": "s-1vcpu-256mb", "rootfs": "nothing:9"}, "rootfs", "unknown rootfs: nothing:9"),
        ({"shape": "s-1vcpu-256mb", "disk_mib": 1}, "disk_mib", "smaller than the image busybox:1"),
        ({"shape": "s-1vcpu-256mb", "envs": {"1BAD": "x"}}, "envs", "no variable name"),
        ({"shape": "s-1vcpu-256mb", "envs": {"BIG": "x" * 5000}}, "envs", "longer than 4096 bytes"),
        ({"shape": "s-1vcpu-256mb", "egress": ["https://example.org"]}, "egress", "names a protocol"),
        ({"shape": "s-1vcpu-256mb", "region": "mars"}, "region", "unknown region: mars"),
    ],
)
@pytest.mark.usefixtures("box")
def test_a_wrong_wish_is_refused_with_its_field(
    engine: LiveEngine, wanted: dict[str, object], field: str, said: str
) -> None:
    before = engine.rows()

    data = refused(engine, 400, **wanted)

    assert isinstance(data, dict)
    assert said in data[field]
    assert engine.rows() == before


def test_of_twenty_creates_at_once_with_six_names_six_succeed(engine: LiveEngine) -> None:
    names = [f"crowd-{n % 6}" for n in range(20)]

    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(
                lambda name: engine.http.post(
                    "/v1/sandboxes", json={"shape": "s-1vcpu-256mb", "name": name, "disk_mib": 64}
                ),
                names,
            )
        )

    refusals = [answer.json()["data"] for answer in answers if answer.status_code != 200]
    created = [answer.json()["data"]["id"] for answer in answers if answer.status_code == 200]
    assert Counter(answer.status_code for answer in answers) == {200: 6, 400: 14}
    assert all("already have a sandbox named crowd-" in data["name"] for data in refusals)
    assert engine.discrepancies() == []
    for identity in created:
        engine.call("DELETE", f"/v1/sandboxes/{identity}")
    wait_for(lambda: {engine.rows()[identity] for identity in created} == {"destroyed"}, 60, "not all destroyed")


def test_a_boot_that_fails_says_why_and_leaves_nothing() -> None:
    """The agent has no time at all to answer, so every boot fails."""
    with live_engine(boot_deadline_s=0.5) as engine:
        text = str(refused(engine, 500, shape="s-1vcpu-256mb", name="hasty"))

        assert list(engine.rows().values()) == ["failed"]
        assert engine.discrepancies() == []
    assert "did not come up under tcg" in text
    assert "QEMU is running" in text
    assert "console" in text


def test_no_free_memory_is_said_before_anything_is_done() -> None:
    with live_engine(memory_reserve_mib=10**9) as engine:
        text = str(refused(engine, 503, shape="s-1vcpu-256mb"))

        assert engine.rows() == {}
    assert "not enough free memory" in text


@pytest.mark.parametrize(
    ("settings", "said", "remedy"),
    [
        ({"cache_dir": "/nonexistent/cache"}, "there is no guest kernel in /nonexistent/cache", "make setup"),
        ({"libvirt_uri": "qemu:///system"}, "libvirt cannot be reached at qemu:///system", "createosd doctor"),
        ({"qemu_user": "nobody-at-all"}, "there is no user nobody-at-all to run QEMU as", "make setup"),
        ({"qemu_binary": "/nonexistent/qemu"}, "/nonexistent/qemu", "createosd doctor"),
    ],
)
def test_what_stands_in_the_way_is_said_in_readyz_and_by_create(
    settings: dict[str, str], said: str, remedy: str
) -> None:
    engine = LiveEngine(**settings)
    engine.start(wait=False)
    try:
        wait_for(lambda: "cannot start yet" in engine.log_tail(), 30, "the daemon does not say what is missing")
        ready = engine.http.get("/readyz")
        text = str(refused(engine, 503, shape="s-1vcpu-256mb"))
    finally:
        engine.remove_everything()
        engine.forget()

    assert ready.status_code == 503
    assert said in ready.json()["data"]["reason"]
    assert said in text
    assert remedy in text


def test_an_image_that_is_not_built_is_named_with_the_command_that_builds_it(tmp_path: Path) -> None:
    for part in ("kernel", "agent", "initramfs"):
        (tmp_path / part).symlink_to(DEFAULT_CACHE / part)
    with live_engine(cache_dir=tmp_path) as engine:
        data = refused(engine, 400, shape="s-1vcpu-256mb", rootfs="debian:12")

    assert isinstance(data, dict)
    assert "the image debian:12 is not built on this host" in data["rootfs"]
    assert "createos_images build debian:12" in data["rootfs"]
