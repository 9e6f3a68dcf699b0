"""Public URLs with a real guest: what visitors reach, and what they do not."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.vm.engine import Box, LiveEngine

PORT, LARGE = 8080, 4 * 2**20
# Without HTTP of its own: `nc` runs this for every connection, and it says what it was asked.
ECHO = r"""#!/bin/sh
head=""; while IFS= read -r line; do line="${line%?}"; [ -z "$line" ] && break; head="$head$line|"; done
printf 'HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n%s' "${#head}" "$head"
"""
SOCKET = r"""#!/bin/sh
while IFS= read -r line; do [ "${#line}" -le 1 ] && break; done
printf 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'; exec cat
"""
EVENTS = r"""#!/bin/sh
while IFS= read -r line; do [ "${#line}" -le 1 ] && break; done
printf 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n'
for n in 1 2 3; do echo "data: $n"; echo; sleep 1; done
"""


@pytest.fixture(scope="module")
def site(engine: LiveEngine) -> Iterator[Box]:
    """A sandbox with a public URL and four programs behind it."""
    box = engine.create(name="site", ingress_enabled=True)
    box.sh(f"mkdir -p /www; echo hello > /www/index.html; head -c {LARGE} /dev/zero > /www/large")
    box.sh(f"httpd -p 0.0.0.0:{PORT} -h /www; httpd -p 127.0.0.1:9000 -h /www")
    for port, script in ((8081, ECHO), (8082, SOCKET), (8083, EVENTS)):
        box.exec("/bin/sh", "-c", f"cat > /serve{port}; chmod +x /serve{port}", stdin=script)
        box.sh(f"nc -ll -p {port} -e /serve{port} > /dev/null 2>&1 < /dev/null &")
    yield box
    box.destroy()


@pytest.fixture(scope="module")
def authority(engine: LiveEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate to trust, as the API hands it out."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    path.write_text(engine.call("GET", "/v1/ingress")["certificate"])
    return path


def url(box: Box, port: int = PORT) -> str:
    return str(box.view()["ingress_url_template"]).replace("<port>", str(port))


def curl(authority: Path, *argv: str) -> str:
    done = subprocess.run(
        ["curl", "-sS", "-m", "20", "--cacert", str(authority), *argv], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_curl_reads_a_page_over_https(site: Box, authority: Path) -> None:
    assert url(site).startswith(f"https://{site.id.removeprefix('sb-')}-{PORT}.sandbox.localhost:")
    assert curl(authority, url(site) + "/") == "hello\n"


def test_curl_without_the_authority_refuses(site: Box) -> None:
    assert "certificate" in curl(Path("/dev/null"), url(site) + "/")


def test_many_requests_go_over_one_connection(site: Box, authority: Path) -> None:
    pages = [word for number in range(3) for word in ("-o", "/dev/null", f"{url(site, 8081)}/{number}")]

    assert curl(authority, "-w", "%{num_connects} ", *pages).split() == ["1", "0", "0"]


def test_the_program_sees_localhost_and_no_credential(site: Box, authority: Path) -> None:
    said = curl(authority, "-H", "Authorization: Bearer secret", url(site, 8081) + "/x?y=z").lower()

    assert "host: localhost:8081|" in said
    assert "x-forwarded-proto: https|" in said
    assert "get /x?y=z http/1.1" in said
    assert "secret" not in said


def test_a_large_body_arrives_whole(site: Box, authority: Path, tmp_path: Path) -> None:
    curl(authority, "-o", str(tmp_path / "large"), url(site) + "/large")

    assert (tmp_path / "large").stat().st_size == LARGE


def test_events_come_one_by_one(site: Box, authority: Path) -> None:
    assert curl(authority, "-N", url(site, 8083) + "/").split() == ["data:", "1", "data:", "2", "data:", "3"]


def test_a_websocket_passes(site: Box, authority: Path) -> None:
    assert asyncio.run(_shout(url(site, 8082), authority)) == (b"HTTP/1.1 101 Switching Protocols", b"ping")


async def _shout(address: str, authority: Path) -> tuple[bytes, bytes]:
    name, _, port = address.removeprefix("https://").partition(":")
    context = ssl.create_default_context(cafile=str(authority))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port), ssl=context, server_hostname=name)
    writer.write(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)
    writer.write(b"ping")
    echoed = await asyncio.wait_for(reader.readexactly(4), 15)
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
    return head.splitlines()[0].strip(), echoed


def test_a_service_on_the_guests_loopback_is_private(site: Box, authority: Path) -> None:
    said = curl(authority, url(site, 9000) + "/")

    assert "nothing listens on port 9000" in said
    assert "0.0.0.0" in said


def test_no_other_sandbox_answers(site: Box, box: Box, authority: Path) -> None:
    other = url(site).replace(site.id.removeprefix("sb-"), box.id.removeprefix("sb-"))
    unknown = url(site).replace(site.id.removeprefix("sb-"), "0" * 26)

    assert "ingress_url_template" not in box.view()
    assert "has no public URL; createos sandbox edit shared --ingress on" in curl(authority, other)
    assert "there is no such sandbox" in curl(authority, unknown)


def test_a_public_url_can_be_taken_away_and_given_back(engine: LiveEngine, site: Box, authority: Path) -> None:
    address = url(site)
    engine.call("PATCH", f"/v1/sandboxes/{site.id}", {"ingress_enabled": False})
    without = site.view(), curl(authority, address)

    engine.call("PATCH", f"/v1/sandboxes/{site.id}", {"ingress_enabled": True})

    assert "ingress_url_template" not in without[0]
    assert "404 Not Found" in without[1]
    assert curl(authority, url(site) + "/") == "hello\n"


def test_plain_http_is_there_too(engine: LiveEngine, site: Box) -> None:
    port = engine.call("GET", "/v1/ingress")["http_port"]
    host = url(site).removeprefix("https://").partition(":")[0]

    with socket.create_connection(("127.0.0.1", port), timeout=10) as visit:
        visit.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: visit.recv(65_536), b""))

    assert answer.endswith(b"hello\n")
