"""From a sandbox's row to the machine that it is."""

from __future__ import annotations

import uuid

from createos_netconfig.addresses import Endpoint

from createos_engine.drivers.hypervisor import Machine
from createos_engine.paths import SandboxPaths
from createos_engine.services.naming import machine_uuid
from createos_engine.services.progress import BootFiles
from createos_engine.words import Sandbox


def blueprint(
    sandbox: Sandbox, files: BootFiles, paths: SandboxPaths, endpoint: Endpoint, *, name: str, instance: str
) -> Machine:
    """Return everything that a machine is started from; each call gives it another generation."""
    return Machine(
        name=name,
        uuid=machine_uuid(sandbox.id),
        instance=instance,
        sandbox_id=sandbox.id,
        title=title(sandbox),
        vcpu=sandbox.vcpu,
        mem_mib=sandbox.mem_mib,
        accelerator=files.accelerator,
        kernel=files.kernel,
        initramfs=files.initramfs,
        cmdline=files.cmdline,
        overlay=paths.overlay,
        channel=paths.channel,
        console=paths.console,
        tap=endpoint.interface,
        mac=endpoint.mac,
        genid=str(uuid.uuid4()),
    )


def title(sandbox: Sandbox) -> str:
    """Return what `virsh list --title` shows."""
    return f"{sandbox.name} ({sandbox.rootfs}, {sandbox.shape})"
