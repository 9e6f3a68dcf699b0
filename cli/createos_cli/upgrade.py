"""HTTP/1.1 upgrades (wire-api 9.1): the head by hand, since what follows 101 must not vanish in a buffer."""

from __future__ import annotations

import http.client
import io
import socket
from typing import cast

from createos_cli.errors import BadAnswer
from createos_cli.profile import Endpoint
from createos_cli.transport import broken, response_of
from createos_cli.wire import Request, Response, Upgraded

HEAD_LIMIT_BYTES = 65_536
_PIECE_BYTES = 65_536
_END = b"\r\n\r\n"
_SWITCHING = b"101"


def upgrade(endpoint: Endpoint, connection: http.client.HTTPConnection, request: Request) -> Response:
    """Ask the server behind *connection* for another protocol; its refusal is an ordinary answer."""
    headers = {**request.headers, "Connection": "Upgrade", "Upgrade": request.upgrade, "Content-Length": "0"}
    try:
        connection.sock.settimeout(request.silence_s)
        connection.request(request.method, endpoint.base_path + request.path, headers=headers)
        head, rest = _read_head(connection.sock)
        if head.split(None, 2)[1:2] == [_SWITCHING]:
            connection.sock.settimeout(None)
            return Response(int(_SWITCHING), {}, (), Upgraded(connection.sock, rest))
        answer = http.client.HTTPResponse(cast(socket.socket, _Replay(head + rest, connection.sock)))
        answer.begin()
    except (OSError, http.client.HTTPException) as exc:
        connection.close()
        raise broken(endpoint, exc) from exc
    except ValueError as exc:
        connection.close()
        raise BadAnswer(f"{endpoint.text} does not speak HTTP", hint="check --sandbox-api-url") from exc
    return response_of(endpoint, connection, answer)


def _read_head(link: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of an answer and what came behind it; ValueError when it is none."""
    seen = bytearray()
    while (end := seen.find(_END)) < 0:
        piece = link.recv(_PIECE_BYTES)
        if not piece:
            raise ConnectionResetError("the connection was closed before the answer")
        seen += piece
        if len(seen) > HEAD_LIMIT_BYTES or not seen.startswith(b"HTTP/"[: len(seen)]):
            raise ValueError("no HTTP answer")
    end += len(_END)
    return bytes(seen[:end]), bytes(seen[end:])


class _Replay(io.RawIOBase):
    """What was read already, then the socket: enough of one for http.client to read a refusal from."""

    def __init__(self, seen: bytes, link: socket.socket) -> None:
        self._seen = seen
        self._link = link

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002
        """Part of a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Part of a raw stream."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Part of a raw stream."""
        if not self._seen:
            return self._link.recv_into(buffer)
        size = min(len(buffer), len(self._seen))
        buffer[:size] = self._seen[:size]
        self._seen = self._seen[size:]
        return size
