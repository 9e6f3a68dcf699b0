"""QEMU started by hand with the engine's own kernel, initramfs and agent: the floor of a create, and any root."""

from __future__ import annotations

import subprocess
from pathlib import Path

from createos_engine.drivers.channel.agent import AgentClient, Program
from createos_engine.drivers.channel.program import Finished
from createos_engine.drivers.libvirt.domain_xml import DEFAULT_CMDLINE
from createos_engine.drivers.libvirt.probe import ProbeGuest

_DEADLINE_S = 300.0


class BareMachine:
    """A machine without libvirt, network or engine, under emulation like the engine's own here."""

    def __init__(self, guest: ProbeGuest, base: Path, directory: Path) -> None:
        self._guest = guest
        self._overlay = directory / "overlay.qcow2"
        self.channel = directory / "channel.sock"
        self._base = base
        self._process: subprocess.Popen[bytes] | None = None

    async def boot_and_exec(self, *argv: str) -> Finished:
        """Make the overlay, boot, wait for the agent and run a program to its end."""
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", self._base, "-F", "raw", self._overlay, "512M"],
            check=True,
        )
        self.start()
        agent = await AgentClient.connect(self.channel, deadline_s=_DEADLINE_S)
        done = await agent.run(Program(argv=argv, env={}, cwd="/", user=""), None, limit_bytes=1024)
        await agent.close()
        return done

    def start(self, *more: str) -> None:
        """Start QEMU, with further arguments."""
        self._process = subprocess.Popen([*self._argv(), *more], stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        """End the machine."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def _argv(self) -> list[str]:
        return [
            self._guest.qemu_binary,
            *("-machine", "q35,accel=tcg", "-m", "256", "-nodefaults", "-display", "none", "-nic", "none"),
            *("-kernel", str(self._guest.kernel), "-initrd", str(self._guest.initramfs), "-append", DEFAULT_CMDLINE),
            *("-drive", f"file={self._overlay},if=virtio,format=qcow2", "-device", "virtio-serial"),
            *("-chardev", f"socket,id=channel,path={self.channel},server=on,wait=off"),
            *("-device", "virtserialport,chardev=channel,name=createos.agent.0", "-serial", "null"),
        ]
