"""A web server of the internet of tests: plain and TLS, keep-alive, server push, and a protocol to switch to."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class WebServer:
    """Answers `HOST PATH` to every request. /push sends a line whenever `push` is called, /switch echoes from then on.

    `seen` has a line for each request, `names` what TLS clients asked for.
    """

    def __init__(self, directory: Path) -> None:
        self.seen: list[str] = []
        self.names: list[str | None] = []
        self._pushed: list[socket.socket] = []
        self._closing: list[socket.socket] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate(directory))
        self._context.sni_callback = self._named

    def listen(self, address: str, port: int, *, tls: bool = False) -> None:
        """Serve on an address of the namespace this thread is in."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.create_server((address, port), family=family)
        self._closing.append(server)
        threading.Thread(target=self._accept, args=(server, tls), daemon=True).start()

    def push(self, line: bytes) -> None:
        """Send a line to everybody who waits at /push."""
        for each in self._pushed:
            each.sendall(b"%x\r\n%s\r\n" % (len(line), line))

    def close(self) -> None:
        for each in self._closing:
            each.close()

    def _named(self, _connection: object, name: str | None, _context: object) -> None:
        self.names.append(name)

    def _accept(self, server: socket.socket, tls: bool) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, tls), daemon=True).start()

    def _serve(self, connection: socket.socket, tls: bool) -> None:
        try:
            if tls:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                while self._request(connection, reader):
                    pass
        except (OSError, ValueError):
            return

    def _request(self, connection: socket.socket, reader: object) -> bool:
        first = reader.readline().decode()  # type: ignore[attr-defined]
        if not first:
            return False
        headers = {}
        while line := reader.readline().decode().strip():  # type: ignore[attr-defined]
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers.get("content-length", 0)))  # type: ignore[attr-defined]
        path = first.split()[1]
        if path == "/push":
            self._pushed.append(connection)
        self.seen.append(f"{headers.get('host', '')} {path} {headers.get('upgrade', '')}".strip())
        if path == "/switch" and headers.get("upgrade"):
            connection.sendall(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            while data := reader.read1(1024):  # type: ignore[attr-defined]
                connection.sendall(data)
            return False
        if path == "/push":
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            reader.readline()  # type: ignore[attr-defined]
            return False
        text = f"{headers.get('host', '')} {path} {len(body)}\n".encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        return headers.get("connection", "").lower() != "close"


def certificate(directory: Path, address: str = "127.0.0.1") -> Path:
    """Return a file with a key and a certificate for an address, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / "web.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path
