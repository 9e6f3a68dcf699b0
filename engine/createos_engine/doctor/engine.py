"""Checks of what the engine stands on: libvirt, the accelerator, images, and the daemon itself."""

from __future__ import annotations

import importlib
import json
import sys
from http import HTTPStatus
from pathlib import Path

from createos_images.builder import find_base
from createos_images.cache import Cache
from createos_images.catalog import CATALOG
from createos_images.kernel import find_kernel

from createos_engine.doctor.finding import Finding, failed, passed, warned
from createos_engine.drivers.command import run
from createos_engine.errors import HostFailed
from createos_engine.settings import CONFIG_FILE

EMBEDDED_DRIVER = "*/libvirt/connection-driver/libvirt_driver_qemu.so"
"""Where Debian keeps the driver that qemu:///embed loads into our process, below /usr/lib."""


async def libvirt(uri: str) -> Finding:
    """Judge the libvirt that the daemon would use: a daemon of the host, or the driver in our own process."""
    if "/embed" in uri:
        return embedded_libvirt()
    try:
        printed = await run("virsh", "--connect", uri, "version", deadline_s=5)
    except HostFailed as exc:
        return failed(
            "libvirt", f"{uri}: {exc.reason}", f'systemctl restart libvirtd, or libvirt_uri = "auto" in {CONFIG_FILE}'
        )
    return passed("libvirt", f"{uri}: {printed.splitlines()[0]}")


def embedded_libvirt(libraries: Path = Path("/usr/lib")) -> Finding:
    """The driver must be there for our process to load. It is not opened: the daemon may be using it."""
    fix = "apt-get install libvirt-daemon libvirt-daemon-driver-qemu libvirt-dev && make setup"
    try:
        version = importlib.import_module("libvirt").getVersion()
    except ImportError as exc:
        return failed("libvirt", f"libvirt's Python binding cannot be loaded: {exc}", fix)
    if not any(libraries.glob(EMBEDDED_DRIVER)):
        return failed("libvirt", f"there is no QEMU driver for libvirt below {libraries}", fix)
    return passed("libvirt", f"driver inside the daemon, libvirt {version // 1_000_000}.{version // 1000 % 1000}")


def boot_files(cache: Cache) -> Finding:
    """Every guest boots this kernel with this initramfs."""
    fix = f"{sys.executable} -m createos_images --cache {cache.root} boot"
    kernel = find_kernel(cache)
    if not kernel:
        return failed("kernel", f"there is no guest kernel in {cache.root}", fix)
    if not any(cache.initramfs.glob("*.img")):
        return failed("kernel", f"there is no initramfs in {cache.initramfs}", fix)
    return passed("kernel", f"guests boot Linux {kernel.version}")


def images(cache: Cache, default: str) -> Finding:
    """A sandbox is made of one of these; the default must be there, the others may be."""
    built = [entry.name for entry in CATALOG if find_base(entry.name, cache)]
    missing = [entry.name for entry in CATALOG if entry.name not in built and not entry.extra]
    fix = f"{sys.executable} -m createos_images --cache {cache.root} build {' '.join(missing)}"
    if default in missing:
        return failed("images", f"the default image {default} is not built", fix)
    if missing:
        return warned("images", f"not built: {', '.join(missing)}; built: {', '.join(built)}", fix)
    return passed("images", f"built: {', '.join(built)}")


async def daemon(socket: Path, timeout_s: float = 5) -> Finding:
    """Ask the daemon behind the socket whether it is ready (wire-api 6)."""
    import httpx

    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=timeout_s) as client:
            answer = await client.get("/readyz")
    except httpx.HTTPError as exc:
        return warned("daemon", f"nothing answers on {socket}: {exc}", "make up, or createosd serve")
    return readiness(socket, answer.status_code, answer.content)


def readiness(socket: Path, status: int, body: bytes) -> Finding:
    """Judge what a daemon answered to /readyz."""
    if status == HTTPStatus.OK:
        if partial := _partly(body):
            return warned("daemon", f"ready, on {socket}, but {partial}", "set the port it names, or end what has it")
        return passed("daemon", f"ready, on {socket}")
    try:
        reason = str(json.loads(body)["data"]["reason"])
    except (ValueError, KeyError, TypeError):
        reason = f"status {status}"
    return failed("daemon", f"running and not ready: {reason}", "mend what it names; its log says more")


def _partly(body: bytes) -> str:
    """Return what a ready daemon says of public URLs that nobody can open; empty when all is well."""
    try:
        notes = json.loads(body)["data"].get("notes", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return "; ".join(str(note) for note in notes if str(note).startswith("ingress: "))
