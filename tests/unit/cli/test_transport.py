"""The real HTTP client against a real server: a unix socket and loopback TCP, one thread each."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from createos_cli.client import Client
from createos_cli.credentials import Credential
from createos_cli.errors import ApiFailure, BadAnswer, CliError, Unreachable, Usage
from createos_cli.profile import Endpoint, parse_endpoint
from createos_cli.transport import explain, open_transport

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SUCCESS = b'{"status":"success","data":{"up":true}}'
WHOLE = OK + b"Content-Length: %d\r\n\r\n" % len(SUCCESS) + SUCCESS


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Seen:
    """The bytes of every request a server got."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answering(answer: bytes, seen: Seen) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n") and (line := self.rfile.readline()):
                head += line
            length = next(
                (int(line[15:]) for line in head.lower().splitlines() if line.startswith(b"content-length:")), 0
            )
            seen.requests.append(head + self.rfile.read(length))
            self.wfile.write(answer)

    return Handler


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def serve(tmp_path: Path, seen: Seen) -> Iterator[Callable[[bytes], Client]]:
    """Start a server on a unix socket that gives one answer to everything; return a client for it."""
    with ExitStack() as stack:

        def start(answer: bytes) -> Client:
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.sock"
            stack.enter_context(serving(socketserver.UnixStreamServer(str(path), answering(answer, seen))))
            endpoint = parse_endpoint(f"unix://{path}", "test")
            return Client(endpoint, open_transport(endpoint), Credential("key"))

        yield start


def test_a_request_over_a_unix_socket_brings_the_data(serve: Callable[[bytes], Client], seen: Seen) -> None:
    data = serve(WHOLE).post("/v1/x", {"a": "ü"})

    head, _, body = seen.requests[0].partition(b"\r\n\r\n")
    assert data == {"up": True}
    assert json.loads(body) == {"a": "ü"}
    assert head.startswith(b"POST /v1/x HTTP/1.1\r\n")
    for line in (b"X-Api-Key: key", b"User-Agent: createos-cli", b"Content-Type: application/json", b"Host: localhost"):
        assert line in head.splitlines()


def test_tcp_keeps_the_path_of_the_base_url(seen: Seen) -> None:
    server = socketserver.TCPServer(("127.0.0.1", 0), answering(WHOLE, seen))
    with serving(server):
        endpoint = parse_endpoint(f"http://127.0.0.1:{server.server_address[1]}/base/", "test")

        Client(endpoint, open_transport(endpoint), Credential("key")).get("/v1/x", limit=1)

    assert seen.requests[0].startswith(b"GET /base/v1/x?limit=1 HTTP/1.1\r\n")


def test_a_stream_comes_frame_by_frame_before_it_ends(tmp_path: Path) -> None:
    path, go_on = tmp_path / "s.sock", threading.Event()

    class Slow(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            self.wfile.write(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b'{"stdout":"a"}\n{"std'))
            go_on.wait(120)
            self.wfile.write(chunk(b'err":"b"}\n') + chunk(b'{"exit_code":0}\n') + b"0\r\n\r\n")

    with serving(socketserver.UnixStreamServer(str(path), Slow)):
        endpoint = parse_endpoint(f"unix://{path}", "test")
        frames = Client(endpoint, open_transport(endpoint)).stream("/v1/x", {})

        first = next(frames)
        go_on.set()
        rest = list(frames)

    assert first == {"stdout": "a"}
    assert rest == [{"stderr": "b"}, {"exit_code": 0}]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"", Unreachable, "broke the connection"),
        (b"SSH-2.0-OpenSSH\r\n", BadAnswer, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", Unreachable, "broke the connection"),
        (OK + b"Content-Length: 100\r\n\r\n{", BadAnswer, "did not answer as the sandbox API does"),
        (OK + b"Content-Length: 0\r\n\r\n", BadAnswer, "did not answer as the sandbox API does"),
        (b"HTTP/1.1 404 X\r\nContent-Length: 2\r\nX-Request-Id: req-1\r\n\r\n{}", ApiFailure, "failed with status 404"),
    ],
)
def test_a_broken_answer_is_told_by_its_kind(
    serve: Callable[[bytes], Client], answer: bytes, kind: type[CliError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        serve(answer).get("/v1/x")


def test_a_stream_that_breaks_off_is_an_error(serve: Callable[[bytes], Client]) -> None:
    frames = serve(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b'{"stdout":"a"}\n')).stream("/v1/x", {})

    assert next(frames) == {"stdout": "a"}
    with pytest.raises(Unreachable, match="broke the connection"):
        next(frames)


def test_a_refusal_carries_the_request_id(serve: Callable[[bytes], Client]) -> None:
    with pytest.raises(ApiFailure) as failed:
        serve(b"HTTP/1.1 404 X\r\nContent-Length: 2\r\nX-Request-Id: req-1\r\n\r\n{}").get("/v1/x")

    assert failed.value.request_id == "req-1"


def test_a_server_that_says_nothing_is_left(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        endpoint = Endpoint(f"unix://{path}", "unix", socket_path=path)

        with pytest.raises(Unreachable, match="stopped answering"):
            Client(endpoint, open_transport(endpoint)).post("/v1/x", {}, silence_s=0.05)


def test_a_missing_socket_and_a_dead_one_mean_that_the_daemon_is_not_running(tmp_path: Path) -> None:
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))

    for path in (tmp_path / "none.sock", dead):
        endpoint = parse_endpoint(f"unix://{path}", "test")
        with pytest.raises(Unreachable) as failed:
            Client(endpoint, open_transport(endpoint)).get("/v1/x")
        assert failed.value.message.startswith("createosd is not running")
        assert str(path) in failed.value.message
        assert "sudo createosd serve" in failed.value.hint


def test_a_socket_one_may_not_open_names_the_group() -> None:
    failed = explain(Endpoint("unix:///s", "unix", socket_path="/s"), PermissionError(13, "Permission denied"))

    assert failed.message == "you may not open the socket /s"
    assert "usermod -aG createos" in failed.hint


def test_a_socket_path_that_is_too_long_is_an_error_with_the_path() -> None:
    endpoint = parse_endpoint("unix:///" + "x" * 200, "test")

    with pytest.raises(Unreachable, match="cannot be used: AF_UNIX path too long"):
        Client(endpoint, open_transport(endpoint)).get("/v1/x")


def test_a_closed_port_names_the_url() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        endpoint = parse_endpoint(url, "test")

        with pytest.raises(Unreachable, match=f"{url} cannot be reached: Connection refused"):
            Client(endpoint, open_transport(endpoint), Credential("k")).get("/v1/x")


@pytest.mark.parametrize("url", ["http://a b", "http://.."])
def test_a_host_that_cannot_be_one_is_a_usage_error(url: str) -> None:
    endpoint = parse_endpoint(url, "test")

    with pytest.raises(Usage, match="names no host"):
        Client(endpoint, open_transport(endpoint), Credential("k")).get("/v1/x")


@pytest.mark.parametrize(
    ("url", "host", "port", "base", "loopback"),
    [
        ("http://127.0.0.1:8765", "127.0.0.1", 8765, "", True),
        ("http://[::1]:1/x/", "::1", 1, "/x", True),
        ("https://api.example.org", "api.example.org", 443, "", False),
        ("http://localhost", "localhost", 80, "", True),
    ],
)
def test_base_urls_are_read(url: str, host: str, port: int, base: str, loopback: bool) -> None:
    endpoint = parse_endpoint(url, "test")

    assert (endpoint.host, endpoint.port, endpoint.base_path, endpoint.is_loopback) == (host, port, base, loopback)


@pytest.mark.parametrize(
    "url", ["x", "ftp://h", "http://", "unix://", "unix://h/s", "http://h:x", "http://h?q", "http://h#f"]
)
def test_what_is_no_base_url_is_a_usage_error_that_names_the_flag(url: str) -> None:
    with pytest.raises(Usage, match="--sandbox-api-url"):
        parse_endpoint(url, "--sandbox-api-url")


def test_no_descriptor_stays_open_after_a_request(serve: Callable[[bytes], Client]) -> None:
    client = serve(WHOLE)
    client.get("/v1/x")
    before = _descriptors()

    for _ in range(5):
        client.get("/v1/x")

    # The server is in this process, too, and may close its end a moment later.
    end = time.monotonic() + 60
    while _descriptors() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert _descriptors() <= before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
