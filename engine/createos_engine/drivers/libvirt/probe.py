"""Which accelerator really runs guests here. Neither /dev/kvm nor libvirt's capabilities can be believed (design 6)."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import structlog

from createos_engine.drivers.command import run
from createos_engine.errors import HostFailed
from createos_engine.words import Accelerator

log = structlog.get_logger(__name__)

MARKER = b"createos-probe-ok"
KVM_DEADLINE_S, TCG_DEADLINE_S = 4.0, 90.0
_CMDLINE = (
    "console=ttyS0 quiet loglevel=0 tsc=reliable no_timer_check i8042.noaux i8042.nokbd cryptomgr.notests panic=-1 "
    "createos.probe=1"
)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_KVM = Path("/dev/kvm")


@dataclass(frozen=True)
class ProbeResult:
    """The accelerator to use and, in a sentence, why; `seconds` is how long finding out took."""

    accelerator: Accelerator
    reason: str
    seconds: float
    cached: bool = False


@dataclass(frozen=True)
class ProbeGuest:
    """What the probe boots. `digests` name the files' content, for the key of the cached result."""

    kernel: Path
    initramfs: Path
    digests: tuple[str, ...]
    qemu_binary: str


async def probe_accelerator(guest: ProbeGuest, cache_file: Path, wanted: str = "auto") -> ProbeResult:
    """Return what works here; boots a guest once per host boot, QEMU version, kernel and initramfs.

    *wanted* `kvm` or `tcg` is taken as it is. Raises HostFailed when not even emulation runs a guest.
    """
    if wanted != "auto":
        return ProbeResult(Accelerator(wanted), f"the setting accelerator says {wanted}", 0.0)
    key = await _key(guest)
    if known := _cached(cache_file, key):
        return known
    begun = perf_counter()
    accelerator, reason = await _find_out(guest)
    result = ProbeResult(accelerator, reason, round(perf_counter() - begun, 1))
    _keep(cache_file, key, result)
    log.info("accelerator chosen", accelerator=accelerator, reason=reason, seconds=result.seconds)
    return result


async def _find_out(guest: ProbeGuest) -> tuple[Accelerator, str]:
    refusal = _kvm_refusal()
    if refusal is None:
        refusal = await _boot(guest, Accelerator.KVM, KVM_DEADLINE_S)
        if refusal is None:
            return Accelerator.KVM, "a guest ran under KVM"
        refusal = f"/dev/kvm opens but {refusal}"
    problem = await _boot(guest, Accelerator.TCG, TCG_DEADLINE_S)
    if problem:
        raise HostFailed(f"no guest runs on this host: KVM: {refusal}; emulation: {problem}", hint="createosd doctor")
    return Accelerator.TCG, refusal


def _kvm_refusal() -> str | None:
    """Return why KVM need not be tried at all."""
    try:
        os.close(os.open(_KVM, os.O_RDWR))
    except FileNotFoundError:
        return "there is no /dev/kvm"
    except OSError as exc:
        return f"/dev/kvm cannot be opened: {exc.strerror}"
    return None


async def _boot(guest: ProbeGuest, accelerator: Accelerator, deadline_s: float) -> str | None:
    """Boot the guest and return None when it ran, else what happened instead."""
    process = await asyncio.create_subprocess_exec(
        *(guest.qemu_binary, "-machine", f"q35,accel={accelerator}", "-m", "128", "-nodefaults", "-no-user-config"),
        *("-display", "none", "-nic", "none", "-no-reboot", "-serial", "stdio", "-monitor", "none"),
        *("-kernel", str(guest.kernel), "-initrd", str(guest.initramfs), "-append", _CMDLINE),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    try:
        async with asyncio.timeout(deadline_s):
            if await _says_marker(process.stdout):
                return None
            lines = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
            return f"QEMU ended: {lines[-1]}" if lines else "QEMU ended before the guest had started"
    except TimeoutError:
        return f"a guest did not start within {deadline_s:g} s"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _says_marker(serial: asyncio.StreamReader) -> bool:
    tail = b""
    while piece := await serial.read(4096):
        tail = (tail + piece)[-4096:]
        if MARKER in tail:
            return True
    return False


async def _key(guest: ProbeGuest) -> list[str]:
    version = (await run(guest.qemu_binary, "--version", deadline_s=10)).splitlines()[0]
    return [_BOOT_ID.read_text().strip(), version, *guest.digests]


def _cached(cache_file: Path, key: list[str]) -> ProbeResult | None:
    try:
        said = json.loads(cache_file.read_text())
        if said["key"] != key:
            return None
        return ProbeResult(Accelerator(said["accelerator"]), said["reason"], float(said["seconds"]), cached=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(cache_file: Path, key: list[str], result: ProbeResult) -> None:
    temporary = cache_file.with_suffix(".new")
    temporary.write_text(json.dumps({"key": key, **asdict(result)}, indent=2) + "\n")
    temporary.chmod(0o600)
    temporary.replace(cache_file)
