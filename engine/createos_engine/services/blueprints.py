"""From a sandbox's row to the machine that it is; and the rows of machines that are nobody's."""

from __future__ import annotations

import uuid
from datetime import datetime

from createos_netconfig.addresses import Endpoint

from createos_engine.drivers.hypervisor import Machine
from createos_engine.paths import SandboxPaths
from createos_engine.services.naming import machine_uuid
from createos_engine.services.progress import BootFiles
from createos_engine.words import ImageConfig, Sandbox, State


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


def nobody(
    machine_id: str,
    slot: int,
    *,
    name: str,
    created_at: datetime,
    shape: str = "",
    rootfs: str = "",
    vcpu: int = 0,
    mem_mib: int = 0,
    disk_mib: int = 0,
    base_digest: str = "",
) -> Sandbox:
    """Return the row, never stored, of a machine that is no sandbox; id and slot are enough to end it."""
    return Sandbox(
        id=machine_id,
        user_id="",
        name=name,
        state=State.CREATING,
        shape=shape,
        rootfs=rootfs,
        vcpu=vcpu,
        mem_mib=mem_mib,
        disk_mib=disk_mib,
        base_digest=base_digest,
        image=ImageConfig(),
        slot=slot,
        ip="",
        created_at=created_at,
        created_by="",
    )


def title(sandbox: Sandbox) -> str:
    """Return what `virsh list --title` shows."""
    return f"{sandbox.name} ({sandbox.rootfs}, {sandbox.shape})"
