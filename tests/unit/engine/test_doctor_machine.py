"""The checks of the machine below the engine, against machines made of files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from createos_engine.doctor import machine
from createos_engine.doctor.finding import Verdict


def meminfo(directory: Path, available_mib: int) -> Path:
    file = directory / "meminfo"
    file.write_text(f"MemTotal:  1 kB\nMemAvailable:   {available_mib * 1024} kB\n")
    return file


@pytest.mark.parametrize(
    ("available_mib", "verdict"),
    [(700, Verdict.FAIL), (768, Verdict.WARN), (1536, Verdict.OK)],
)
def test_memory_is_judged_without_what_the_host_keeps(tmp_path: Path, available_mib: int, verdict: Verdict) -> None:
    found = machine.memory(512, meminfo(tmp_path, available_mib))

    assert found.verdict is verdict
    assert f"{available_mib:,} MiB" in found.detail


def test_space_is_judged_where_a_missing_directory_will_be(tmp_path: Path) -> None:
    found = machine.disk_space("state-disk", tmp_path / "not" / "there", reserve_mib=2**40)

    assert found.verdict is Verdict.FAIL
    assert str(tmp_path) in found.fix


def program(directory: Path, name: str, says: str = "") -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(f"#!/bin/sh\necho '{says}'\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def with_qemu_img(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "path", "qemu-img")
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", Verdict.OK),
        ("QEMU emulator version 10.1.0", Verdict.OK),
        ("QEMU emulator version 6.2.0 (Debian 1:6.2)", Verdict.FAIL),
        ("no such thing", Verdict.FAIL),
    ],
)
@pytest.mark.usefixtures("with_qemu_img")
async def test_qemu_must_be_7_2_or_later(tmp_path: Path, printed: str, verdict: Verdict) -> None:
    found = await machine.qemu(str(program(tmp_path, "qemu", printed)))

    assert found.verdict is verdict


@pytest.mark.usefixtures("with_qemu_img")
async def test_a_missing_qemu_names_its_package(tmp_path: Path) -> None:
    found = await machine.qemu(str(tmp_path / "qemu-system-x86_64"))

    assert found.verdict is Verdict.FAIL
    assert "apt-get install qemu-system-x86" in found.fix


def test_a_missing_tun_device_has_a_command_that_makes_it(tmp_path: Path) -> None:
    found = machine.tun(tmp_path / "tun")

    assert found.verdict is Verdict.FAIL
    assert f"mknod {tmp_path / 'tun'} c 10 200" in found.fix


def test_a_missing_user_has_the_command_that_adds_it() -> None:
    found = machine.qemu_user("no-such-user")

    assert found.verdict is Verdict.FAIL
    assert found.fix.startswith("useradd ")
    assert found.fix.endswith(" no-such-user")


def test_root_is_not_a_user_for_qemu() -> None:
    assert machine.qemu_user("root").verdict is Verdict.FAIL


def test_a_missing_socket_group_is_only_a_warning() -> None:
    assert machine.socket_group("no-such-group").verdict is Verdict.WARN


def test_a_link_to_our_command_is_ours(tmp_path: Path) -> None:
    ours = program(tmp_path / "venv", "createos")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "createos").symlink_to(ours)

    assert machine.command_on_path(str(tmp_path / "bin"), ours).verdict is Verdict.OK


def test_the_official_client_on_the_path_is_named(tmp_path: Path) -> None:
    ours, other = program(tmp_path / "venv", "createos"), program(tmp_path / "bin", "createos")

    found = machine.command_on_path(str(tmp_path / "bin"), ours)

    assert found.verdict is Verdict.WARN
    assert str(other) in found.detail
    assert str(ours) in found.fix


def test_no_command_on_the_path_is_a_warning_with_the_link_to_make(tmp_path: Path) -> None:
    found = machine.command_on_path(str(tmp_path), tmp_path / "createos")

    assert found.verdict is Verdict.WARN
    assert found.fix.startswith("ln -s ")


def test_our_own_command_is_looked_for_beside_this_python() -> None:
    found = machine.command_on_path(str(Path(sys.executable).parent))

    assert found.verdict is Verdict.OK
