"""Servers that say who is asking, and clients that say how they fared."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from tests.host.answering import Answering

REFUSED, PROHIBITED, SILENCE = "refused", "prohibited", "silence"
_OUTCOMES = {
    errno.ECONNREFUSED: REFUSED,
    errno.EHOSTUNREACH: PROHIBITED,
    errno.EACCES: PROHIBITED,
    errno.ENETUNREACH: PROHIBITED,
}
_PATIENCE_S = 20.0


class Servers(Answering):
    """Answers every TCP connection and UDP datagram with the address it came from, in a thread of its own."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        super().__init__()

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
            self.keep(server)

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
