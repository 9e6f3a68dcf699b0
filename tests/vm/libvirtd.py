"""A libvirt daemon of the test's own, which may be killed: its socket, state and settings are nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.vm.engine import wait_for

PROGRAM = "/usr/sbin/libvirtd"
_START_DEADLINE_S = 30.0
# As the embedded driver has it (drivers/libvirt/qemu_conf.py): no helper daemons, no control groups.
_QEMU_CONF = """
stdio_handler = "file"
seccomp_sandbox = 1
remember_owner = 0
cgroup_controllers = []
namespaces = []
security_driver = "none"
"""
# It has these to itself, and does not find /dev/kvm, about which it would ask QEMU at every start.
_PLACES = ("/etc/libvirt", "/run/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
_HOLD = """
set -e
for place in "${@:2}"; do mount -t tmpfs none "$place"; done
printf '%s' "$QEMU_CONF" >/etc/libvirt/qemu.conf
[[ ! -e /dev/kvm ]] || mount --bind "$1/no-kvm" /dev/kvm
echo ready
exec sleep infinity
"""


class Libvirtd:
    """The daemon, and the mount namespace in which each one after the other finds what the one before has left."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.uri = f"qemu:///system?socket={directory}/libvirt-sock"
        no_kvm = directory / "no-kvm"
        no_kvm.touch(mode=0)
        (directory / "libvirtd.conf").write_text(f'unix_sock_dir = "{directory}"\nauth_unix_rw = "none"\n')
        self._made = [place for place in _PLACES if not Path(place).exists()]
        for place in self._made:
            Path(place).mkdir(parents=True)
        self._namespace = subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", _HOLD, "hold", str(directory), *_PLACES],
            env={**os.environ, "QEMU_CONF": _QEMU_CONF},
            stdout=subprocess.PIPE,
        )
        assert self._namespace.stdout
        assert self._namespace.stdout.readline() == b"ready\n"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self._directory / "libvirt-sock").unlink(missing_ok=True)
        argv = [PROGRAM, "--config", str(self._directory / "libvirtd.conf"), "--pid-file", str(self._directory / "pid")]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["nsenter", "--target", str(self._namespace.pid), "--mount", *argv], stdout=log, stderr=log
            )
        wait_for(lambda: self._virsh("version"), _START_DEADLINE_S, "libvirtd does not answer")

    def kill(self) -> None:
        """End it at once; machines go on."""
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def titles(self) -> str:
        """Return what a human sees of its machines."""
        return self._virsh("list", "--title")

    def close(self) -> None:
        """End it and remove what was made for it."""
        self.kill()
        self._namespace.kill()
        self._namespace.communicate()
        for place in self._made:
            Path(place).rmdir()

    def _virsh(self, *command: str) -> str:
        done = subprocess.run(["virsh", "-q", "-c", self.uri, *command], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""


@contextmanager
def libvirtd() -> Iterator[Libvirtd]:
    """Run one for the time of a block."""
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        Path(directory).chmod(0o711)
        daemon = Libvirtd(Path(directory))
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.close()
