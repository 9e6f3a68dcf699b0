"""The connection to libvirt: a daemon of the host when one answers, else the driver inside this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import libvirt
import structlog

from createos_engine.drivers.libvirt import qemu_conf
from createos_engine.drivers.libvirt.events import start_event_loop
from createos_engine.drivers.libvirt.leftovers import end_leftovers
from createos_engine.drivers.libvirt.monitor import Refused
from createos_engine.drivers.libvirt.mounts import WithoutKvm
from createos_engine.drivers.libvirt.reaper import start_reaper
from createos_engine.errors import HostFailed

T = TypeVar("T")
log = structlog.get_logger(__name__)

SYSTEM_URI = "qemu:///system"
DAEMON_SOCKETS = (Path("/run/libvirt/libvirt-sock"), Path("/run/libvirt/virtqemud-sock"))
# libvirt's calls block; more threads than machines that may boot at once would only wait for its locks.
_THREADS = 8
_REOPEN_EVERY_S = 2.0


def choose_uri(setting: str, root: Path) -> str:
    """Return the URI for a setting: `auto` is the host's libvirt daemon if its socket exists, else embedded."""
    if setting != "auto":
        return setting
    return SYSTEM_URI if any(path.is_socket() for path in DAEMON_SOCKETS) else f"qemu:///embed?root={root}"


class LibvirtConnection:
    """One connection, used from a pool of threads, and opened again when a libvirt daemon comes back."""

    def __init__(self, setting: str, root: Path, *, qemu_user: str) -> None:
        self.uri = choose_uri(setting, root)
        self._root = root
        self._qemu_user = qemu_user
        self._threads: ThreadPoolExecutor | None = None
        self._handle: libvirt.virConnect | None = None
        self._opened: list[Callable[[Any], None]] = []
        self._before_close: list[Callable[[Any], None]] = []
        self._back: list[Callable[[], None]] = []
        self._closing = False
        self.opened = 0

    @property
    def embedded(self) -> bool:
        """Tell whether the driver runs inside this process."""
        return "/embed" in self.uri

    def pid_file(self, name: str) -> Path:
        """Return where an embedded driver writes down the process of a machine."""
        return self._root / "run" / "qemu" / f"{name}.pid"

    def on_open(self, opened: Callable[[Any], None], before_close: Callable[[Any], None]) -> None:
        """Call *opened* with every new connection and *before_close* with one that is let go of; both in a thread."""
        self._opened.append(opened)
        self._before_close.append(before_close)

    def on_back(self, listener: Callable[[], None]) -> None:
        """Call *listener* in the event loop when a lost connection has been opened again."""
        self._back.append(listener)

    async def open(self, *, hide_kvm: bool) -> None:
        """Connect; raise HostFailed with libvirt's words. *hide_kvm* keeps an embedded driver from finding /dev/kvm."""
        loop = asyncio.get_running_loop()
        enter = WithoutKvm().enter if hide_kvm and self.embedded else None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="libvirt", initializer=enter)
        if self.embedded:
            start_reaper()
        await loop.run_in_executor(self._threads, self._open, loop)

    async def call(self, doing: str, work: Callable[[Any], T]) -> T:
        """Run *work* with the connection in a thread; what it fails with becomes HostFailed beginning with *doing*."""
        if self._threads is None:
            raise HostFailed(f"{doing}: createosd is not connected to libvirt yet", hint="try again in a few seconds")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._call, doing, work)

    async def close(self) -> None:
        """Let go of the connection; machines keep running."""
        self._closing = True
        handle, self._handle = self._handle, None
        if handle:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._shut, handle)
        if self._threads:
            self._threads.shutdown(wait=False)

    def _shut(self, handle: Any) -> None:
        with libvirt_errors("the connection to libvirt could not be closed"):
            handle.unregisterCloseCallback()
            for listener in self._before_close:
                listener(handle)
            handle.close()

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        start_event_loop()
        if self.embedded:
            qemu_conf.write(self._root, self._qemu_user)
            end_leftovers(self._root)
        with libvirt_errors(f"libvirt cannot be reached at {self.uri}"):
            handle = libvirt.open(self.uri)
            # libvirt asks QEMU what it can do when that is first needed: better now than in somebody's create.
            handle.getDomainCapabilities(None, "x86_64", "q35", "qemu")
            handle.registerCloseCallback(lambda *_: loop.call_soon_threadsafe(self._lost, loop), None)
        self._handle = handle
        self.opened += 1
        for listener in self._opened:
            listener(handle)

    def _lost(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._closing:
            log.warning("the connection to libvirt was lost", uri=self.uri)
            self._handle = None
            loop.call_later(_REOPEN_EVERY_S, self._reopen, loop)

    def _reopen(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._closing:
            return
        future = loop.run_in_executor(self._threads, self._open, loop)
        future.add_done_callback(lambda done: self._reopened(loop, done.exception()))

    def _reopened(self, loop: asyncio.AbstractEventLoop, failure: BaseException | None) -> None:
        if failure:
            loop.call_later(_REOPEN_EVERY_S, self._reopen, loop)
            return
        log.info("libvirt is back", uri=self.uri)
        for listener in self._back:
            listener()

    def _call(self, doing: str, work: Callable[[Any], T]) -> T:
        if self._handle is None:
            raise HostFailed(f"{doing}: there is no connection to libvirt at {self.uri}", hint="createosd doctor")
        with libvirt_errors(doing):
            return work(self._handle)


@contextmanager
def libvirt_errors(doing: str) -> Iterator[None]:
    """Turn what libvirt, QEMU and the host refuse into HostFailed, once."""
    try:
        yield
    except libvirt.libvirtError as exc:
        raise HostFailed(f"{doing}: {exc}", hint="createosd doctor", code=exc.get_error_code()) from exc
    except OSError as exc:
        raise HostFailed(f"{doing}: {exc.strerror or exc}", hint="createosd doctor") from exc
    except Refused as exc:
        raise HostFailed(f"{doing}: {exc}", hint="createosd doctor") from exc
