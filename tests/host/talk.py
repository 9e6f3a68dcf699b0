"""A connection whose server speaks first."""

from __future__ import annotations

import socket

from tests.host.egresslab import EgressLab
from tests.host.netlab import Guest

_PATIENCE_S = 20.0


class Talk:
    """An established connection: the server says a line, the guest says one."""

    def __init__(self, world: EgressLab, guest: Guest, address: str, port: int) -> None:
        with world.internet.entered():
            server = socket.create_server((address, port))
        with guest.namespace.entered():
            self.client = socket.create_connection((address, port), timeout=_PATIENCE_S)
        self.end = server.accept()[0]
        self.end.settimeout(_PATIENCE_S)
        server.close()

    def pushed(self, *, patience_s: float = _PATIENCE_S) -> bool:
        """Tell whether what the server says arrives."""
        self.client.settimeout(patience_s)
        try:
            self.end.sendall(b"news")
            return self.client.recv(4) == b"news"
        except OSError:
            return False

    def asked(self) -> str:
        """Tell what becomes of what the guest says."""
        try:
            self.client.sendall(b"what")
            return "heard" if self.end.recv(4) == b"what" else "odd"
        except ConnectionResetError:
            return "reset"
        except OSError as exc:
            return exc.strerror or "silence"

    def ended(self, side: socket.socket) -> bool:
        """Tell whether a side is answered with a reset when it speaks or listens."""
        try:
            for _ in range(3):
                side.sendall(b"x")
                side.recv(1)
        except (ConnectionResetError, BrokenPipeError):
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        self.client.close()
        self.end.close()
