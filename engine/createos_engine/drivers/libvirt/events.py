"""libvirt's event loop: one thread for the life of the process, started before the first connection is opened."""

from __future__ import annotations

import threading

import libvirt

_started = threading.Lock()


def start_event_loop() -> None:
    """Run libvirt's event loop on a daemon thread; further calls do nothing.

    libvirt allows one implementation per process, for ever (libvirt-event.h), so this cannot belong to a connection.
    """
    if not _started.acquire(blocking=False):
        return
    libvirt.registerErrorHandler(_ignore, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_turn, name="libvirt-events", daemon=True).start()


def _turn() -> None:
    # A timer that never does anything wakes the loop so that handles added from other threads are seen soon.
    libvirt.virEventAddTimeout(200, lambda *_: None, None)
    while True:
        libvirt.virEventRunDefaultImpl()


def _ignore(_context: object, _error: object) -> None:
    """Errors come as exceptions; libvirt would print them to stderr as well."""
