"""Servers that say who is asking, and clients that say how they fared."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
from typing import Any

REFUSED, PROHIBITED, SILENCE = "refused", "prohibited", "silence"
_OUTCOMES = {
    errno.ECONNREFUSED: REFUSED,
    errno.EHOSTUNREACH: PROHIBITED,
    errno.EACCES: PROHIBITED,
    errno.ENETUNREACH: PROHIBITED,
}
_PATIENCE_S = 3.0


class Servers:
    """Answers every TCP connection and UDP datagram with the address it came from, in a thread of its own."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._awake = socket.socketpair()
        self._selector.register(self._awake, selectors.EVENT_READ)
        self.seen: list[str] = []
        self._thread = threading.Thread(target=self._serve, name="servers")
        self._thread.start()

    def listen(self, address: str, port: int) -> None:
        """Answer TCP and UDP on an address of the namespace this thread is in."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            server = socket.socket(family, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind(socket.getaddrinfo(address, port, family, kind)[0][4])
            if kind == socket.SOCK_STREAM:
                server.listen(64)
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
                self._answer(key.fileobj)

    def _answer(self, server: Any) -> None:
        if server.type == socket.SOCK_DGRAM:
            text, peer = server.recvfrom(2048)
            self.seen.append(f"{peer[0]} {text[:64].decode(errors='replace')}")
            server.sendto(peer[0].encode(), peer)
            return
        connection, peer = server.accept()
        self.seen.append(f"{peer[0]} connected")
        with connection:
            connection.sendall(peer[0].encode())


def ask(kind: str, address: str, port: int, *, source: str = "", patience_s: float = _PATIENCE_S) -> str:
    """Return the address that a server saw, or how the attempt ended; `address` may name a %scope."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    types = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    with socket.socket(family, types[kind]) as client:
        client.settimeout(patience_s)
        try:
            if source:
                client.bind((source, 0))
            client.connect(socket.getaddrinfo(address, port, family, types[kind])[0][4])
            if kind == "udp":
                client.send(b"who am I?")
            return client.recv(64).decode()
        except TimeoutError:
            return SILENCE
        except OSError as exc:
            return _OUTCOMES.get(exc.errno or 0, os.strerror(exc.errno or 0))
