"""Taking a connection over, against real sockets: unix, TCP and TLS."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from createos_cli.client import Client
from createos_cli.credentials import Credential
from createos_cli.errors import ApiFailure, BadAnswer, NotSignedIn, Unreachable
from createos_cli.profile import parse_endpoint
from createos_cli.transport import open_transport
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: tcp-tunnel\r\n\r\n"
REFUSED = b'{"status":"error","message":"no","code":502,"data":"nothing listens on port 80"}'


class Server:
    """Answers one connection with given pieces, then echoes; `head` is what the client said."""

    def __init__(self, door: socket.socket, pieces: list[bytes], tls: ssl.SSLContext | None) -> None:
        self._door, self._pieces, self._tls = door, pieces, tls
        self.head = b""
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        plain, _ = self._door.accept()
        link = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
        with self._door, link:
            while not self.head.endswith(b"\r\n\r\n"):
                self.head += link.recv(65_536)
            for piece in self._pieces:
                link.sendall(piece)
            if SWITCHING in b"".join(self._pieces):
                while data := link.recv(65_536):
                    link.sendall(data)


@pytest.fixture(params=["unix", "tcp", "tls"])
def serve(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Client, Server]]]:
    """Start a server with its answer; return a client for it."""
    started: list[Server] = []

    def start(*pieces: bytes) -> tuple[Client, Server]:
        tls = None
        if request.param == "unix":
            door = socket.socket(socket.AF_UNIX)
            door.bind(str(tmp_path / "s"))
            door.listen()
            url = f"unix://{tmp_path / 's'}"
        else:
            door = socket.create_server(("127.0.0.1", 0))
            scheme = "https" if request.param == "tls" else "http"
            url = f"{scheme}://127.0.0.1:{door.getsockname()[1]}/base"
        if request.param == "tls":
            pem = self_signed(tmp_path)
            monkeypatch.setenv("SSL_CERT_FILE", str(pem))
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(pem)
        started.append(Server(door, list(pieces), tls))
        endpoint = parse_endpoint(url, "test")
        return Client(endpoint, open_transport(endpoint), Credential("key")), started[-1]

    yield start
    for server in started:
        server.thread.join(60)


def self_signed(directory: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


Serve = Callable[..., tuple[Client, Server]]


def test_the_socket_is_handed_over_with_what_came_behind_the_head(serve: Serve) -> None:
    client, server = serve(SWITCHING[:20], SWITCHING[20:] + b"first")

    upgraded = client.upgrade("/v1/sandboxes/x/tunnel/80")
    first = upgraded.first or upgraded.socket.recv(5)
    upgraded.socket.sendall(b"ping")
    echoed = upgraded.socket.recv(4)
    upgraded.socket.close()

    assert (first, echoed) == (b"first", b"ping")
    assert upgraded.socket.gettimeout() is None
    words = server.head.lower()
    assert words.startswith(b"post ")
    assert b"/v1/sandboxes/x/tunnel/80 http/1.1\r\n" in words
    for line in (b"connection: upgrade", b"upgrade: tcp-tunnel", b"content-length: 0", b"x-api-key: key"):
        assert words.count(line + b"\r\n") == 1


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_refusal_is_an_api_failure(serve: Serve, framing: str) -> None:
    head = b"HTTP/1.1 502 Bad Gateway\r\nx-request-id: r-1\r\n"
    body = REFUSED
    if framing == "length":
        head += b"content-length: %d\r\n" % len(REFUSED)
    elif framing == "chunked":
        head, body = head + b"transfer-encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(REFUSED), REFUSED)
    client, _ = serve(head + b"\r\n" + body[:9], body[9:])

    with pytest.raises(ApiFailure, match="nothing listens on port 80") as refused:
        client.upgrade("/x")

    assert (refused.value.status, refused.value.request_id) == (502, "r-1")


def test_a_server_that_does_something_else_is_no_sandbox_api(serve: Serve) -> None:
    client, _ = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    with pytest.raises(BadAnswer):
        client.upgrade("/x")


@pytest.mark.parametrize("nonsense", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 101 X\r\n" + b"a: b\r\n" * 20_000])
def test_nonsense_is_refused(serve: Serve, nonsense: bytes) -> None:
    client, _ = serve(nonsense)

    with pytest.raises((BadAnswer, Unreachable)):
        client.upgrade("/x")


def test_a_connection_that_breaks_is_said_to_be_broken(serve: Serve) -> None:
    client, _ = serve(b"HTTP/1.1 101 ")

    with pytest.raises(Unreachable, match="broke the connection"):
        client.upgrade("/x")


def test_tcp_needs_a_credential() -> None:
    endpoint = parse_endpoint("http://127.0.0.1:1", "test")

    with pytest.raises(NotSignedIn):
        Client(endpoint, open_transport(endpoint)).upgrade("/x")
