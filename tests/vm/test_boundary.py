"""A real guest tries to reach what it must not, and reaches what it may.

"The internet" is a network namespace with documentation addresses, wired to the engine's namespace by a veth pair.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.vm.engine import Box, LiveEngine

INTERNET, UPLINK, PRIVATE = "198.51.100.7", "198.51.100.1", "192.168.99.7"


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server on port 80 and a private address behind the uplink."""
    name = f"createos-internet-{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", f"{UPLINK}/24", "dev", "uplink")
        ip("link", "set", "uplink", "up")
        ip("route", "add", "default", "via", INTERNET)
        for command in (
            ("addr", "add", f"{INTERNET}/24", "dev", "eth0"),
            ("addr", "add", f"{PRIVATE}/32", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            ip("-n", name, *command)
        web = tmp_path_factory.mktemp("web")
        (web / "index.html").write_text("hello")
        server = subprocess.Popen(["ip", "netns", "exec", name, "busybox", "httpd", "-f", "-p", "80", "-h", str(web)])
        yield
        server.terminate()
        server.wait()
    finally:
        ip("netns", "del", name)
        ip("link", "del", "uplink", check=False)


@pytest.fixture(scope="module")
def neighbour(engine: LiveEngine) -> Iterator[Box]:
    """Another sandbox of the same user, with a server on port 80."""
    box = engine.create(name="neighbour")
    box.sh("mkdir /tmp/web; echo -n hello > /tmp/web/index.html; httpd -p 80 -h /tmp/web")
    yield box
    box.destroy()


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=not check)


def reach(box: Box, address: str, port: int = 80) -> str:
    """Return what a connection from inside brings: `hello`, or nothing."""
    result = box.exec("nc", "-w", "3", address, str(port), stdin="GET / HTTP/1.0\r\n\r\n")
    return str(result["stdout"]).rpartition("\r\n")[2]


def test_the_internet_is_reached(box: Box, internet: None) -> None:
    assert reach(box, INTERNET) == "hello"


def test_another_sandbox_is_not_reached(box: Box, neighbour: Box, internet: None) -> None:
    assert reach(neighbour, "127.0.0.1") == "hello"

    assert reach(box, str(neighbour.row["ip"])) == ""


def test_a_private_network_behind_the_uplink_is_not_reached(box: Box, internet: None) -> None:
    assert reach(box, PRIVATE) == ""


@pytest.mark.parametrize("address", [UPLINK, "169.254.77.1", "169.254.169.254"])
def test_no_service_of_the_host_is_reached(box: Box, internet: None, address: str) -> None:
    heard: list[object] = []
    with socket.create_server(("0.0.0.0", 0)) as server:
        thread = threading.Thread(target=_listen, args=(server, heard), daemon=True)
        thread.start()

        answer = reach(box, address, server.getsockname()[1])

    assert (answer, heard) == ("", [])


def test_a_spoofed_source_reaches_nothing(box: Box, internet: None) -> None:
    box.sh("ip addr add 203.0.113.50/32 dev eth0")
    try:
        assert box.exec("ping", "-c", "1", "-W", "2", "-I", "203.0.113.50", INTERNET)["exit_code"] != 0
    finally:
        box.sh("ip addr del 203.0.113.50/32 dev eth0")


def _listen(server: socket.socket, heard: list[object]) -> None:
    try:
        heard.append(server.accept())
    except OSError:
        return
