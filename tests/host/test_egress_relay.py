"""Web traffic under name rules: a forbidden name stays out, on an address that an allowed one shares with it."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from createos_netconfig.reasons import Reason

from tests.host.egresslab import ALLOWED_V4, ALLOWED_V6, SHARED_V4, EgressLab, lookup
from tests.host.netlab import Guest
from tests.host.netserver import PROHIBITED, REFUSED, ask
from tests.host.webserver import WebServer

pytestmark = pytest.mark.root

ONE, TWO = "one.shared.test", "two.shared.test"
SMUGGLED = f"GET / HTTP/1.1\nHost: {TWO}\n\n"


@pytest.fixture(scope="module")
def world() -> Iterator[EgressLab]:
    with ExitStack() as closing:
        yield EgressLab(closing)


@pytest.fixture(scope="module")
def web(world: EgressLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    server = WebServer(tmp_path_factory.mktemp("web"))
    with world.internet.entered():
        for address in (SHARED_V4, ALLOWED_V4, ALLOWED_V6):
            server.listen(address, 80)
            server.listen(address, 443, tls=True)
            world.servers.listen(address, 8443)
    yield server
    server.close()


@pytest.fixture(scope="module")
def box(world: EgressLab, web: WebServer) -> Guest:
    """A guest that may talk to one of two names on one address, and has asked for both."""
    guest = world.box(1, ONE, "allowed.test:443")
    assert lookup(guest, ONE) == [SHARED_V4]
    assert lookup(guest, TWO) == ["NXDOMAIN"]
    assert lookup(guest, "allowed.test") == [ALLOWED_V4]
    assert lookup(guest, "allowed.test", "AAAA") == [ALLOWED_V6]
    return guest


def reached(guest: Guest, address: str, port: int) -> socket.socket:
    with guest.namespace.entered():
        client = socket.create_connection((address, port), timeout=30)
    client.settimeout(30)
    return client


def http(guest: Guest, *requests: str, address: str = SHARED_V4, port: int = 80) -> list[str]:
    """Return the first line and the body of each answer on one connection, until it ends."""
    answers = []
    with reached(guest, address, port) as client, client.makefile("rb") as reader:
        for request in requests:
            client.sendall(request.replace("\n", "\r\n").encode())
            head = reader.readline().decode().split()[1:2]
            length = 0
            while line := reader.readline().decode().strip():
                length = int(line.split(":")[1]) if line.lower().startswith("content-length") else length
            answers.append(" ".join([*head, reader.read(length).decode().strip()]))
    return answers


def get(host: str, path: str = "/", *more: str) -> str:
    return "\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *more, "", ""])


def tls(guest: Guest, name: str | None, *, address: str = SHARED_V4) -> str:
    """Return what a TLS client hears, or how it failed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with reached(guest, address, 443) as client:
        try:
            with context.wrap_socket(client, server_hostname=name) as secure:
                secure.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return secure.recv(1024).decode().splitlines()[0]
        except ssl.SSLError as exc:
            return exc.reason or "failed"


@pytest.mark.matrix("a host by its name", "first packet", succeeds=True)
def test_an_allowed_name_is_served(box: Guest) -> None:
    assert http(box, get(ONE, "/a")) == [f"200 {ONE} /a 0"]
    assert tls(box, ONE) == "HTTP/1.1 200 OK"


def test_the_same_over_ipv6(box: Guest) -> None:
    assert tls(box, "allowed.test", address=ALLOWED_V6) == "HTTP/1.1 200 OK"


@pytest.mark.matrix("a forbidden name on an allowed address (TLS)", "first packet")
def test_a_forbidden_server_name_is_told_so(box: Guest, web: WebServer) -> None:
    assert tls(box, TWO) == "TLSV1_UNRECOGNIZED_NAME"
    assert TWO not in web.names


def test_a_connection_without_a_name_is_refused(box: Guest, world: EgressLab) -> None:
    assert tls(box, None) == "TLSV1_UNRECOGNIZED_NAME"

    member = world.firewall.member(box.endpoint.ipv4)
    assert member
    assert (Reason.HIDDEN_NAME, SHARED_V4) in {(each.reason, each.target) for each in member.refused()}


@pytest.mark.matrix("a forbidden name on an allowed address (HTTP Host)", "first packet")
def test_a_forbidden_host_is_told_so(box: Guest, web: WebServer) -> None:
    (answer,) = http(box, get(TWO, "/first"))

    assert answer == f"403 createos: no egress rule of this sandbox allows {TWO}:80"
    assert [line for line in web.seen if TWO in line] == []


@pytest.mark.matrix("a forbidden name in a later request of a connection", "first packet")
def test_every_request_of_a_connection_is_checked(box: Guest, web: WebServer) -> None:
    answers = http(box, get(ONE, "/1"), get(ONE, "/2"), get(TWO, "/3"))

    assert [answer[:3] for answer in answers] == ["200", "200", "403"]
    assert [line for line in web.seen if "/3" in line] == []


@pytest.mark.parametrize(
    "request_text",
    [
        f"GET http://{TWO}/ HTTP/1.1\nHost: {ONE}\n\n",
        f"GET / HTTP/1.1\nHost: {ONE}\nHost: {TWO}\n\n",
        f"GET / HTTP/1.1\nHost: {ONE}@{TWO}\n\n",
        f"GET / HTTP/1.1\nHost: {ONE}, {TWO}\n\n",
        "GET / HTTP/1.0\n\n",
        f"CONNECT {ONE}:80 HTTP/1.1\nHost: {ONE}\n\n",
        f"GET http://x@{TWO}/ HTTP/1.1\nHost: {ONE}\n\n",
        f"POST / HTTP/1.1\nHost: {ONE}\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n{SMUGGLED}",
        f"POST / HTTP/1.1\nHost: {ONE}\nContent-Length: 0\nContent-Length: 40\n\n{SMUGGLED}",
        "PRI * HTTP/2.0\n\nSM\n\n",
    ],
)
def test_a_request_that_could_be_read_in_two_ways_reaches_nobody(box: Guest, web: WebServer, request_text: str) -> None:
    before = len(web.seen)
    with reached(box, SHARED_V4, 80) as client:
        client.sendall(request_text.replace("\n", "\r\n").encode())
        said = client.recv(4096)

    assert said == b"" or said.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
    assert [line for line in web.seen[before:] if TWO in line] == []


def test_a_body_is_passed_on_whole(box: Guest) -> None:
    body = "x" * 300_000
    request = f"POST /body HTTP/1.1\nHost: {ONE}\nContent-Length: {len(body)}\n\n{body}"

    assert http(box, request, get(ONE, "/next")) == [f"200 {ONE} /body {len(body)}", f"200 {ONE} /next 0"]


def test_a_protocol_can_be_switched(box: Guest) -> None:
    with reached(box, SHARED_V4, 80) as client:
        client.sendall(
            get(ONE, "/switch", "Connection: Upgrade", "Upgrade: echo").replace("\n", "\r\n").encode() + b"now"
        )
        said = b""
        while not said.endswith(b"now"):
            said += client.recv(1024)
        client.sendall(b"and then")

        assert said.startswith(b"HTTP/1.1 101")
        assert client.recv(64) == b"and then"


def test_no_protocol_that_names_other_hosts_is_offered(box: Guest, web: WebServer) -> None:
    headers = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA")

    assert http(box, get(ONE, "/h2c", *headers)) == [f"200 {ONE} /h2c 0"]
    assert web.seen[-1] == f"{ONE} /h2c"


@pytest.mark.matrix("QUIC to an allowed name", "first packet")
def test_quic_is_refused_at_once(box: Guest) -> None:
    with box.namespace.entered():
        assert ask("udp", SHARED_V4, 443) == PROHIBITED
        assert ask("udp", ALLOWED_V4, 443) == PROHIBITED


def test_a_port_limited_name_has_that_port_alone(box: Guest) -> None:
    assert tls(box, "allowed.test", address=ALLOWED_V4) == "HTTP/1.1 200 OK"
    with box.namespace.entered():
        assert ask("tcp", ALLOWED_V4, 80) == REFUSED
        assert ask("tcp", ALLOWED_V4, 8443) == REFUSED
        assert ask("tcp", SHARED_V4, 8443) == "198.51.100.2"


@pytest.mark.matrix("a connection whose host stays allowed", "rule change", succeeds=True)
@pytest.mark.matrix("a server-push stream whose host stays allowed", "rule change", succeeds=True)
def test_a_stream_goes_on_when_its_name_stays_and_ends_when_it_goes(world: EgressLab, web: WebServer) -> None:
    guest = world.box(2, ONE, "allowed.test")
    lookup(guest, ONE)
    with reached(guest, SHARED_V4, 80) as client:
        client.sendall(get(ONE, "/push").replace("\n", "\r\n").encode())
        _until(lambda: any("/push" in line for line in web.seen))
        client.recv(1024)

        world.change(guest, ONE, "*.wild.test")
        web.push(b"still here")
        assert b"still here" in client.recv(1024)

        world.change(guest, "*.wild.test")
        with pytest.raises(ConnectionResetError):
            client.recv(1024)


def test_one_guest_has_so_many_connections_and_no_more(world: EgressLab, web: WebServer, box: Guest) -> None:
    guest = world.box(3, ONE)
    lookup(guest, ONE)
    with ExitStack() as closing:
        with guest.namespace.entered():
            for _ in range(512):
                closing.enter_context(socket.create_connection((SHARED_V4, 80), timeout=30))
        last = closing.enter_context(reached(guest, SHARED_V4, 80))
        with pytest.raises(ConnectionResetError):
            last.recv(1)

        assert http(box, get(ONE, "/other")) == [f"200 {ONE} /other 0"]


def test_who_hides_the_name_from_the_relay_with_a_host_address_gets_the_host_refused(
    world: EgressLab, tmp_path: Path
) -> None:
    world.dns.records["home.test"] = ["A 198.51.100.2"]
    guest = world.box(4, "home.test", "198.51.100.2")
    with socket.create_server(("198.51.100.2", 80)):
        assert lookup(guest, "home.test") == ["NOERROR"]
        with guest.namespace.entered():
            assert ask("tcp", "198.51.100.2", 80) == REFUSED


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
