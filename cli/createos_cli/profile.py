"""Where the server is. Parsed once from flag or environment; everything else gets an Endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from createos_cli.errors import Usage

LOCAL_SOCKET = "/run/createos/createosd.sock"
PORTS = {"http": 80, "https": 443}
EXAMPLE = "write http://HOST:PORT, https://HOST or unix:///PATH"


@dataclass(frozen=True)
class Endpoint:
    """A server: *socket_path* for a unix socket, else scheme, host and port; *base_path* precedes every path."""

    text: str
    scheme: str
    socket_path: str = ""
    host: str = ""
    port: int = 0
    base_path: str = ""

    @property
    def is_socket(self) -> bool:
        """Whether the peer's user id is the identity, so that no credential is needed."""
        return self.scheme == "unix"

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, over TCP or not."""
        return self.is_socket or _is_loopback(self.host)


def local_endpoint(environ: Mapping[str, str]) -> Endpoint:
    """Return the daemon's unix socket: `CREATEOS_SOCKET`, else the usual place."""
    path = environ.get("CREATEOS_SOCKET", "") or LOCAL_SOCKET
    return Endpoint(f"unix://{path}", "unix", socket_path=path)


def sandbox_endpoint(url: str, environ: Mapping[str, str]) -> Endpoint:
    """Return the sandbox API: *url* when given, else the local socket."""
    return parse_endpoint(url, "--sandbox-api-url") if url else local_endpoint(environ)


def account_endpoint(url: str, sandbox_api: Endpoint) -> Endpoint:
    """Return where accounts live: the sandbox API unless *url* is given; plain http only to loopback names."""
    if not url:
        return sandbox_api
    endpoint = parse_endpoint(url, "--api-url")
    if endpoint.scheme == "http" and endpoint.host not in ("localhost", "127.0.0.1"):
        raise Usage(f"--api-url {url} is not https", hint="plain http is accepted for localhost and 127.0.0.1 only")
    return endpoint


def parse_endpoint(url: str, said_by: str) -> Endpoint:
    """Read a base URL; raise Usage naming *said_by* when it is not one. A path stays in front of every route."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as exc:
        raise Usage(f"{said_by} {url} is not a URL: {exc}", hint=EXAMPLE) from exc
    if parts.query or parts.fragment:
        raise Usage(f"{said_by} {url} has a query or fragment", hint=EXAMPLE)
    if parts.scheme == "unix" and not parts.netloc and parts.path:
        return Endpoint(url, "unix", socket_path=parts.path)
    return _tcp_endpoint(url, parts, port, said_by)


def _tcp_endpoint(url: str, parts: SplitResult, port: int, said_by: str) -> Endpoint:
    if parts.scheme not in PORTS or not parts.hostname:
        raise Usage(f"{said_by} {url} is not the address of a server", hint=EXAMPLE)
    return Endpoint(url, parts.scheme, host=parts.hostname, port=port, base_path=parts.path.rstrip("/"))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
