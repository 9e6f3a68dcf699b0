"""The probe's answer becomes a finding: emulation is said once and clearly, KVM must be open to QEMU's user."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from createos_engine.doctor.accelerator import accelerator, judge
from createos_engine.doctor.finding import Verdict
from createos_engine.drivers.libvirt.probe import ProbeResult
from createos_engine.errors import HostFailed
from createos_engine.settings import Settings
from createos_engine.words import Accelerator

ME = pwd.getpwuid(os.getuid()).pw_name
EMULATED = ProbeResult(Accelerator.TCG, "a guest did not start within 4 s", 7.5)
ACCELERATED = ProbeResult(Accelerator.KVM, "a guest ran under KVM", 1.5)


@pytest.fixture
def device(tmp_path: Path) -> Path:
    file = tmp_path / "kvm"
    file.touch()
    return file


def test_emulation_is_a_warning_that_says_what_it_is(device: Path) -> None:
    found = judge(EMULATED, ME, "auto", device)

    assert found.verdict is Verdict.WARN
    assert "a guest did not start within 4 s" in found.detail
    assert "slower and by QEMU's own statement not a security boundary" in found.detail


def test_the_way_to_kvm_depends_on_what_is_there(device: Path) -> None:
    missing = device.with_name("no-kvm")

    fixes = [judge(EMULATED, ME, *about).fix for about in (("auto", device), ("auto", missing), ("tcg", device))]

    assert "nested virtualisation" in fixes[0]
    assert "modprobe" in fixes[1]
    assert "accelerator" in fixes[2]


@pytest.mark.parametrize(("mode", "verdict"), [(0o600, Verdict.OK), (0o060, Verdict.FAIL), (0o000, Verdict.FAIL)])
def test_kvm_must_be_open_to_the_user_that_qemu_runs_as(device: Path, mode: int, verdict: Verdict) -> None:
    device.chmod(mode)

    found = judge(ACCELERATED, ME, "auto", device)

    assert found.verdict is verdict
    assert ("usermod" in found.fix) is (verdict is Verdict.FAIL)


def test_an_unknown_user_cannot_use_kvm(device: Path) -> None:
    assert judge(ACCELERATED, "no-such-user", "auto", device).verdict is Verdict.FAIL


async def test_without_a_kernel_there_is_no_probe_and_nothing_is_built(tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "cache")

    with pytest.raises(HostFailed, match="no guest kernel"):
        await accelerator(settings, tmp_path / "probe.json")

    assert not (tmp_path / "cache").exists()
