"""The list of all checks, in the order people read them."""

from __future__ import annotations

from createos_images.cache import Cache

from createos_engine.doctor import engine, machine, network
from createos_engine.doctor.accelerator import accelerator
from createos_engine.doctor.check import Check, blocking, quick, run
from createos_engine.doctor.finding import Finding
from createos_engine.drivers.libvirt.connection import choose_uri
from createos_engine.paths import Paths
from createos_engine.settings import Settings

PROBE_DEADLINE_S = 60
"""Above what the probe allows itself for KVM and emulation together."""


async def examine(settings: Settings, paths: Paths) -> list[Finding]:
    """Return what is right and what is wrong with this machine. Changes nothing but the probe's own cache."""
    return await run([*_machine(settings), *_network(), *_engine(settings, paths)])


def _machine(settings: Settings) -> list[Check]:
    state, cache, reserve = settings.state_dir, settings.cache_dir, settings.disk_reserve_mib
    return [
        quick("root", machine.root),
        Check("qemu", lambda: machine.qemu(settings.qemu_binary)),
        quick("tun", machine.tun),
        quick("memory", lambda: machine.memory(settings.memory_reserve_mib)),
        quick("state-disk", lambda: machine.disk_space("state-disk", state, reserve)),
        quick("cache-disk", lambda: machine.disk_space("cache-disk", cache, reserve)),
        quick("qemu-user", lambda: machine.qemu_user(settings.qemu_user)),
        quick("group", lambda: machine.socket_group(settings.socket_group)),
        quick("command", machine.command_on_path),
    ]


def _network() -> list[Check]:
    return [
        quick("forwarding", network.forwarding),
        blocking("nftables", network.nftables),
        blocking("closing", network.closing),
        blocking("firewalls", network.firewalls),
    ]


def _engine(settings: Settings, paths: Paths) -> list[Check]:
    cache = Cache(settings.cache_dir)
    return [
        Check("libvirt", lambda: engine.libvirt(choose_uri(settings.libvirt_uri, paths.libvirt_root))),
        blocking("kernel", lambda: engine.boot_files(cache)),
        blocking("images", lambda: engine.images(cache, settings.default_rootfs)),
        Check("accelerator", lambda: accelerator(settings, paths.probe), PROBE_DEADLINE_S),
        Check("daemon", lambda: engine.daemon(paths.api_socket)),
    ]
