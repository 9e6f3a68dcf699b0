"""Sockets that are answered in a thread of their own."""

from __future__ import annotations

import selectors
import socket
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any


class Answering(ABC):
    """Waits for something to read on all sockets that `keep` was given; `close` ends the thread and them."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._awake = socket.socketpair()
        self.keep(self._awake)
        self._thread = threading.Thread(target=self._serve, name=type(self).__name__)
        self._thread.start()

    def keep(self, server: socket.socket) -> None:
        """Answer on a socket from now on."""
        self._selector.register(server, selectors.EVENT_READ)

    def close(self) -> None:
        self._wake.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._awake:
                    return
                # Whoever has gone meanwhile, or must not be answered by the rules of this host, gets no answer.
                with suppress(OSError, EOFError):
                    self._answer(key.fileobj)

    @abstractmethod
    def _answer(self, server: Any) -> None:
        """Answer whatever has come in on a socket; EOFError when it is not whole."""
