"""Waiting until something changes on this side."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

from createos_cli.sync.entries import STAGING, path_is_clean
from createos_cli.sync.skips import Skips

_STEP_MS, _DEBOUNCE_MS = 50, 400


class LocalWatch:
    """Readable, for select, when something below a directory has changed; *works* is false where it cannot tell."""

    def __init__(self, root: str, skips: Skips) -> None:
        self._root = root
        self._skips = skips
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self._stop = threading.Event()
        self.works = True
        self._thread = threading.Thread(target=self._run, daemon=True, name="watch")
        self._thread.start()

    def fileno(self) -> int:
        """For select."""
        return self._ours.fileno()

    def drain(self) -> bool:
        """Say whether something has changed since the last call."""
        changed = False
        with suppress(BlockingIOError):
            while self._ours.recv(4096):
                changed = True
        return changed

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join(timeout=2)
        self._ours.close()
        self._theirs.close()

    def _run(self) -> None:
        from watchfiles import Change, watch

        def wanted(_: Change, path: str) -> bool:
            return self._is_ours(path)

        try:
            for _ in watch(
                self._root,
                watch_filter=wanted,
                step=_STEP_MS,
                debounce=_DEBOUNCE_MS,
                stop_event=self._stop,
                rust_timeout=500,
                raise_interrupt=False,
            ):
                with suppress(OSError):
                    self._theirs.send(b"!")
        except (OSError, RuntimeError):
            self.works = False

    def _is_ours(self, path: str) -> bool:
        relative = os.path.relpath(path, self._root)
        if relative == STAGING or not path_is_clean(relative):
            return relative == "."
        parts = relative.split("/")
        above = ("/".join(parts[:end]) for end in range(1, len(parts)))
        return not any(self._skips.match(each, directory=True) for each in above) and not self._skips.match(
            relative, directory=False
        )
