"""The checks of libvirt, images and the daemon, against caches and sockets of their own."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from createos_engine.doctor import engine
from createos_engine.doctor.examine import examine
from createos_engine.doctor.finding import Verdict
from createos_engine.paths import Paths
from createos_engine.settings import Settings
from createos_images.cache import Cache


def test_an_empty_cache_has_no_kernel_and_the_command_that_brings_one(tmp_path: Path) -> None:
    found = engine.boot_files(Cache(tmp_path))

    assert found.verdict is Verdict.FAIL
    assert f"--cache {tmp_path} boot" in found.fix


def test_a_missing_default_image_is_a_failure(tmp_path: Path) -> None:
    found = engine.images(Cache(tmp_path), "devbox:1")

    assert found.verdict is Verdict.FAIL
    assert "build" in found.fix


def test_other_missing_images_are_a_warning(tmp_path: Path) -> None:
    found = engine.images(Cache(tmp_path), "one-of-my-own")

    assert found.verdict is Verdict.WARN


def test_a_missing_libvirt_driver_names_its_packages(tmp_path: Path) -> None:
    found = engine.embedded_libvirt(tmp_path)

    assert found.verdict is Verdict.FAIL
    assert "libvirt-daemon-driver-qemu" in found.fix


async def test_a_daemon_that_does_not_run_is_a_warning(tmp_path: Path) -> None:
    found = await engine.daemon(tmp_path / "no.sock")

    assert found.verdict is Verdict.WARN


async def test_a_daemon_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "a.sock"))
        silent.listen()

        found = await engine.daemon(tmp_path / "a.sock", timeout_s=0.05)

    assert found.verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("status", "body", "verdict", "said"),
    [
        (200, b'{"status":"success","data":{"ready":true}}', Verdict.OK, "ready"),
        (503, b'{"status":"fail","data":{"ready":false,"reason":"no kernel"}}', Verdict.FAIL, "no kernel"),
        (502, b"<html>", Verdict.FAIL, "502"),
    ],
)
def test_an_answer_is_judged_by_status_and_reason(status: int, body: bytes, verdict: Verdict, said: str) -> None:
    found = engine.readiness(Path("/run/createosd.sock"), status, body)

    assert found.verdict is verdict
    assert said in found.detail


async def test_every_finding_that_is_not_fine_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", run_dir=tmp_path / "run", cache_dir=tmp_path / "cache")

    found = await examine(settings, Paths(settings.state_dir, settings.run_dir))

    assert [finding.check for finding in found if finding.verdict is not Verdict.OK and not finding.fix] == []
    assert len({finding.check for finding in found}) == len(found)
