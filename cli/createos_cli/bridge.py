"""Bytes between two sockets, in both directions, each closed when the other side has said its last word."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread

PIECE_BYTES = 262_144


def bridge(one: socket.socket, other: socket.socket, first: bytes = b"") -> None:
    """Carry bytes until both directions have ended; *first* goes to *one* before all else. Closes both sockets."""
    with one, other:
        with suppress(OSError):
            one.sendall(first)
        up = Thread(target=_carry, args=(one, other), daemon=True)
        up.start()
        _carry(other, one)
        up.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    """Carry one direction and pass its end on; a side that breaks ends both."""
    try:
        while piece := source.recv(PIECE_BYTES):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for link in (source, target):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
