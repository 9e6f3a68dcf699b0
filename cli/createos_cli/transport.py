"""HTTP/1.1 over TCP, TLS or a unix socket, on the standard library: importing more would cost what `exec` may take."""

from __future__ import annotations

import errno
import http.client
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

from createos_cli.errors import BadAnswer, CliError, Unreachable, Usage
from createos_cli.profile import Endpoint
from createos_cli.wire import Request, Response, Transport

CONNECT_TIMEOUT_S = 10.0
PIECE_BYTES = 65536
START = "start it: sudo createosd serve, or sudo make up in a clone"


def open_transport(endpoint: Endpoint) -> Transport:
    """Return the transport to a server. Every request gets a connection of its own, so none is ever stale."""

    def send(request: Request) -> Response:
        connection = _open(endpoint)
        if request.upgrade:
            from createos_cli.upgrade import upgrade

            return upgrade(endpoint, connection, request)
        try:
            connection.sock.settimeout(request.silence_s)
            # A server that refuses a long body answers and hangs up before all of it is sent.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(
                    request.method, endpoint.base_path + request.path, request.body, dict(request.headers)
                )
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise broken(endpoint, exc) from exc
        return response_of(endpoint, connection, answer)

    return send


def explain(endpoint: Endpoint, exc: OSError) -> Unreachable:
    """Say why nothing answers at *endpoint*, and what to do."""
    if not endpoint.is_socket:
        why = "it did not answer in time" if isinstance(exc, TimeoutError) else str(exc.strerror or exc)
        return Unreachable(f"{endpoint.text} cannot be reached: {why}", hint="check --sandbox-api-url and the server")
    path = endpoint.socket_path
    if exc.errno in (errno.EACCES, errno.EPERM):
        hint = "join the group createos and sign in to the machine again: sudo usermod -aG createos $USER"
        return Unreachable(f"you may not open the socket {path}", hint=hint)
    if exc.errno in (errno.ENOENT, errno.ENOTDIR):
        return Unreachable(f"createosd is not running: there is no socket {path}", hint=START)
    if exc.errno == errno.ECONNREFUSED:
        return Unreachable(f"createosd is not running: nobody answers on the socket {path}", hint=START)
    return Unreachable(f"the socket {path} cannot be used: {exc.strerror or exc}", hint=START)


def broken(endpoint: Endpoint, exc: Exception) -> CliError:
    """Say that a connection which was set up did not bring a whole answer."""
    if isinstance(exc, TimeoutError):
        return Unreachable(f"{endpoint.text} stopped answering", hint="see the daemon's log, or createosd doctor")
    if isinstance(exc, http.client.BadStatusLine | http.client.UnknownProtocol) and not isinstance(exc, OSError):
        return BadAnswer(f"{endpoint.text} does not speak HTTP", hint="check --sandbox-api-url")
    return Unreachable(f"{endpoint.text} broke the connection", hint="see the daemon's log, or createosd doctor")


class _SocketConnection(http.client.HTTPConnection):
    """The one difference to TCP: where to connect."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_TIMEOUT_S)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.close()
            raise


def _open(endpoint: Endpoint) -> http.client.HTTPConnection:
    try:
        connection = _connection(endpoint)
        connection.connect()
    except OSError as exc:
        raise explain(endpoint, exc) from exc
    except (UnicodeError, http.client.InvalidURL) as exc:
        raise Usage(f"{endpoint.text} names no host", hint="check --sandbox-api-url") from exc
    return connection


def _connection(endpoint: Endpoint) -> http.client.HTTPConnection:
    if endpoint.is_socket:
        return _SocketConnection(endpoint.socket_path)
    if endpoint.scheme == "https":
        return http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=CONNECT_TIMEOUT_S)
    return http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=CONNECT_TIMEOUT_S)


def response_of(
    endpoint: Endpoint, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
) -> Response:
    """Return an answer whose body is read from the connection as it is asked for."""
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Response(answer.status, headers, _pieces(endpoint, connection, answer))


def _pieces(
    endpoint: Endpoint, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
) -> Iterator[bytes]:
    with closing(connection), closing(answer):
        try:
            while piece := answer.read1(PIECE_BYTES):
                yield piece
        except (OSError, http.client.HTTPException) as exc:
            raise broken(endpoint, exc) from exc
