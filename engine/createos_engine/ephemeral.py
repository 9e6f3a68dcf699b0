"""A private engine for the time of one command: own state, own libvirt root, nothing left afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from createos_engine.daemon import Daemon, running_daemon
from createos_engine.errors import HostFailed
from createos_engine.settings import Settings

_INSIDE = "CREATEOS_EPHEMERAL_NETNS"
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_READY_DEADLINE_S = 90.0


def enter_namespaces() -> None:
    """Start this process again in a network and a mount namespace of its own; return when that has been done.

    util-linux does it because Python 3.11 has no unshare. The environment says which side we are on.
    """
    if os.environ.pop(_INSIDE, ""):
        return
    unshare = shutil.which("unshare")
    if unshare is None:
        raise HostFailed("unshare is not installed", hint="apt install util-linux")
    argv = [unshare, "--net", "--mount", "--", sys.executable, "-m", "createos_engine.main", *sys.argv[1:]]
    os.execve(unshare, argv, {**os.environ, _INSIDE: "1"})


async def run_beside(settings: Settings, command: Sequence[str]) -> int:
    """Run *command* beside a private engine and return its exit code (128 + n when signal n ended it).

    SIGINT and SIGTERM go to the command while it runs and end the start of the engine before; the tear-down is never
    cut short by them.
    """
    signals = _Signals()
    with _directory("/var/tmp") as state, _directory("/run") as run:
        ports = dict.fromkeys(("listen_port", "ssh_port", "ingress_https_port", "ingress_http_port"), 0)
        places = {"state_dir": state, "run_dir": run, **ports}
        async with running_daemon(settings.model_copy(update={**places, **_subnets()})) as daemon:
            try:
                return await signals.passed_to(_run(daemon, command, signals))
            except asyncio.CancelledError:
                return 128 + signals.received
            finally:
                await daemon.destroy_everything()


class _Signals:
    """Where SIGINT and SIGTERM go: to the command once there is one, else they cancel the work."""

    def __init__(self) -> None:
        self.received = 0
        self.command: asyncio.subprocess.Process | None = None
        self._work: asyncio.Task[int] | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._deliver, number)

    async def passed_to(self, work: Coroutine[Any, Any, int]) -> int:
        self._work = asyncio.ensure_future(work)
        return await self._work

    def _deliver(self, number: signal.Signals) -> None:
        self.received = number
        if self.command is None:
            if self._work:
                self._work.cancel()
        elif self.command.returncode is None and not (number is signal.SIGINT and sys.stdin.isatty()):
            # Ctrl-C on a terminal reaches the command without us.
            self.command.send_signal(number)


@contextmanager
def _directory(parent: str) -> Iterator[Path]:
    """Make a directory that QEMU's user may pass through, and remove it with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="createos-", dir=parent) as name:
        Path(name).chmod(0o711)
        yield Path(name)


def _subnets() -> dict[str, object]:
    """Return networks that another engine of this host is unlikely to use; 10.77.0.0/16 is the usual daemon's."""
    third = random.randrange(128, 256)
    return {
        "subnet_v4": IPv4Network(f"10.{third}.0.0/16"),
        "subnet_v6": IPv6Network(f"fd77:c05b:{random.randrange(1, 65536):x}::/64"),
    }


async def _run(daemon: Daemon, command: Sequence[str], signals: _Signals) -> int:
    await daemon.engine.progress.wait_ready(_READY_DEADLINE_S)
    environment = {
        **os.environ,
        "CREATEOS_SANDBOX_URL": daemon.url,
        "CREATEOS_SANDBOX_BASE_URL": daemon.url,
        "CREATEOS_API_KEY": await daemon.mint_key(),
    }
    try:
        signals.command = await asyncio.create_subprocess_exec(*command, env=environment)
    except FileNotFoundError:
        sys.stderr.write(f"createosd: {command[0]}: no such command\n")
        return _NOT_FOUND
    except OSError as exc:
        sys.stderr.write(f"createosd: {command[0]}: {exc.strerror}\n")
        return _NOT_EXECUTABLE
    code = await signals.command.wait()
    return code if code >= 0 else 128 - code
