"""The probe, with programs that behave like QEMU on machines we do not have here."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from createos_engine.drivers.libvirt import probe
from createos_engine.drivers.libvirt.probe import ProbeGuest, probe_accelerator
from createos_engine.errors import HostFailed
from createos_engine.words import Accelerator

VERSION = 'case "$1" in --version) echo "QEMU emulator version 7.2.22"; exit;; esac\n'
RUNS = "echo createos-probe-ok\n"
HANGS = "exec sleep 1000\n"
FAILS = "echo 'qemu: no such thing' >&2; exit 1\n"
FLOODS = "head -c 300000 /dev/zero; printf 'createos-'; sleep 0.1; echo probe-ok\n"


@pytest.fixture(autouse=True)
def _device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A /dev/kvm that opens."""
    (tmp_path / "kvm").touch()
    monkeypatch.setattr(probe, "_KVM", tmp_path / "kvm")
    monkeypatch.setattr(probe, "KVM_DEADLINE_S", 60.0)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline that tests of a KVM that hangs can wait for."""
    monkeypatch.setattr(probe, "KVM_DEADLINE_S", 2.0)


def guest(tmp_path: Path, kvm: str, tcg: str) -> ProbeGuest:
    """Return a guest whose QEMU does *kvm* or *tcg*, by the accelerator it is asked for."""
    program = tmp_path / "qemu"
    program.write_text(f'#!/bin/sh\n{VERSION}case "$*" in *accel=kvm*)\n{kvm};; *)\n{tcg};; esac\n')
    program.chmod(0o755)
    return ProbeGuest(tmp_path / "vmlinux", tmp_path / "initramfs", ("k", "i"), str(program))


async def test_kvm_is_used_where_a_guest_runs_on_it(tmp_path: Path) -> None:
    found = await probe_accelerator(guest(tmp_path, RUNS, FAILS), tmp_path / "probe.json")

    assert (found.accelerator, found.reason) == (Accelerator.KVM, "a guest ran under KVM")


async def test_emulation_is_used_where_kvm_opens_and_runs_nothing(tmp_path: Path) -> None:
    found = await probe_accelerator(guest(tmp_path, FAILS, RUNS), tmp_path / "probe.json")

    assert found.accelerator is Accelerator.TCG
    assert "/dev/kvm opens but" in found.reason
    assert "qemu: no such thing" in found.reason


@pytest.mark.usefixtures("_impatient")
async def test_emulation_is_used_where_kvm_opens_and_hangs(tmp_path: Path) -> None:
    found = await probe_accelerator(guest(tmp_path, HANGS, RUNS), tmp_path / "probe.json")

    assert found.accelerator is Accelerator.TCG
    assert found.reason == "/dev/kvm opens but a guest did not start within 2 s"


async def test_without_a_device_kvm_is_not_tried(tmp_path: Path) -> None:
    (tmp_path / "kvm").unlink()

    found = await probe_accelerator(guest(tmp_path, HANGS, FLOODS), tmp_path / "probe.json")

    assert (found.accelerator, found.reason) == (Accelerator.TCG, "there is no /dev/kvm")


@pytest.mark.usefixtures("_impatient")
async def test_a_host_on_which_nothing_runs_is_told_why(tmp_path: Path) -> None:
    with pytest.raises(HostFailed, match=r"no guest runs on this host: KVM: .* emulation: .*no such thing"):
        await probe_accelerator(guest(tmp_path, HANGS, FAILS), tmp_path / "probe.json")


async def test_the_answer_is_kept_privately_and_used_again(tmp_path: Path) -> None:
    cache = tmp_path / "probe.json"
    first = await probe_accelerator(guest(tmp_path, RUNS, FAILS), cache)

    again = await probe_accelerator(guest(tmp_path, FAILS, FAILS), cache)

    assert (again.accelerator, again.cached) == (first.accelerator, True)
    assert cache.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": 5}'])
async def test_a_damaged_answer_is_found_out_anew(tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "probe.json"
    cache.write_text(damage)

    found = await probe_accelerator(guest(tmp_path, RUNS, FAILS), cache)

    assert not found.cached
    assert json.loads(cache.read_text())["accelerator"] == "kvm"


async def test_another_kernel_is_another_question(tmp_path: Path) -> None:
    cache = tmp_path / "probe.json"
    asked = guest(tmp_path, RUNS, FAILS)
    await probe_accelerator(asked, cache)

    other = await probe_accelerator(ProbeGuest(asked.kernel, asked.initramfs, ("new",), asked.qemu_binary), cache)

    assert not other.cached


async def test_a_setting_is_taken_at_its_word(tmp_path: Path) -> None:
    found = await probe_accelerator(guest(tmp_path, FAILS, FAILS), tmp_path / "probe.json", "tcg")

    assert found.accelerator is Accelerator.TCG
    assert not (tmp_path / "probe.json").exists()


async def test_a_missing_qemu_is_named(tmp_path: Path) -> None:
    nothing = ProbeGuest(tmp_path, tmp_path, (), str(tmp_path / "no-qemu"))

    with pytest.raises(HostFailed, match="no-qemu: No such file"):
        await probe_accelerator(nothing, tmp_path / "probe.json")


@pytest.mark.usefixtures("_impatient")
async def test_nothing_of_a_hanging_probe_is_left(tmp_path: Path) -> None:
    await probe_accelerator(guest(tmp_path, f"echo $$ > {tmp_path}/pid; {HANGS}", RUNS), tmp_path / "probe.json")

    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
