"""Private networks with real guests: who reaches whom, live and across the death of the daemon."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.engine import Box, LiveEngine, live_engine, wait_for

PORT = "8080"
TIGHT = "peers on a private network under a tight allowlist"
# Prints the addresses of each name, as the C library of whoever compiled it finds them.
RESOLVE = r"""
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
int main(int count, char **names) {
    for (int n = 1; n < count; n++) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = 0;
        char text[100];
        if (getaddrinfo(names[n], 0, &hints, &found)) { puts("-"); continue; }
        for (; found; found = found->ai_next) {
            getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST);
            printf("%s%s", text, found->ai_next ? "," : "\n");
        }
    }
}
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[LiveEngine]:
    """A daemon of its own: it is killed here."""
    with live_engine() as engine:
        engine.call("POST", "/v1/networks", {"name": "lan"})
        engine.call("POST", "/v1/networks", {"name": "other"})
        yield engine


@pytest.fixture(scope="module")
def pair(engine: LiveEngine) -> tuple[Box, Box]:
    """Two sandboxes that answer with their name; the first was created on `lan`, the second was put on it.

    The first may reach nothing outside at all: an allowlist is no hindrance between peers.
    """
    one = engine.create(name="one", networks=[{"id": "lan"}], egress=["127.0.0.1"])
    two = engine.create(name="two")
    for box in (one, two):
        box.sh(f"mkdir -p /www; echo {box.row['name']} > /www/index.html; httpd -p 0.0.0.0:{PORT} -h /www")
    attach(two, "lan")
    return one, two


def attach(box: Box, network: str) -> None:
    answer = box.engine.call("POST", f"/v1/sandboxes/{box.id}/networks", {"id": network})
    assert answer["ok"] is True


def detach(box: Box, network: str) -> None:
    box.engine.call("DELETE", f"/v1/sandboxes/{box.id}/networks/{network}")


def address(box: Box, network: str = "lan") -> str:
    """Return a member's address on a network."""
    members = box.engine.call("GET", f"/v1/networks/{network}")["members"]
    return str(next(member["ip"] for member in members if member["sandbox_id"] == box.id))


def read(box: Box, host: str, *, patience_s: int = 30) -> str:
    """Return what the web server at *host* says to *box*; empty when there is no answer."""
    result = box.exec("nc", "-w", str(patience_s), host, PORT, stdin="GET / HTTP/1.0\r\n\r\n")
    return str(result["stdout"]).rpartition("\r\n")[2].strip()


def silent(box: Box, host: str) -> bool:
    """Tell whether nothing comes back from *host*."""
    return read(box, host, patience_s=2) == ""


def become(box: Box, verb: str, state: str) -> None:
    """Pause or resume, and wait until that is done."""
    box.engine.call("POST", f"/v1/sandboxes/{box.id}/{verb}")
    wait_for(lambda: box.view()["status"] == state, 60, f"{verb} did not end in {state}: {box.view()}")


@pytest.mark.matrix("peers on a private network", "first packet", succeeds=True)
@pytest.mark.matrix(TIGHT, "first packet", succeeds=True)
def test_members_reach_each_other_by_both_families(pair: tuple[Box, Box]) -> None:
    one, two = pair
    v6 = two.sh("ip -6 addr show dev eth1 scope global").split("inet6 ")[1].split("/")[0]

    assert (read(one, address(two)), read(two, address(one))) == ("two", "one")
    assert one.exec("ping", "-c", "1", "-W", "30", v6)["exit_code"] == 0


def test_attaching_again_changes_nothing(pair: tuple[Box, Box]) -> None:
    before = address(pair[1])

    attach(pair[1], "lan")

    assert address(pair[1]) == before
    assert len(pair[1].sh("ls /sys/class/net").split()) == 3


@pytest.mark.matrix("a member of another private network", "first packet")
def test_a_member_of_another_network_is_not_reached(pair: tuple[Box, Box]) -> None:
    one, two = pair
    attach(two, "other")
    route = f"{address(two, 'other')}/32 dev eth1"

    one.sh(f"ip route add {route}")

    assert silent(one, address(two, "other"))
    one.sh(f"ip route del {route}")
    detach(two, "other")


@pytest.mark.matrix("a private network that it left", "rule change")
def test_a_network_that_was_left_is_out_of_reach_at_once(pair: tuple[Box, Box]) -> None:
    one, two = pair
    its_address = address(two)

    detach(two, "lan")

    assert silent(one, its_address)
    assert two.sh("ls /sys/class/net").split() == ["eth0", "lo"]
    attach(two, "lan")
    assert read(one, address(two)) == "two"


@pytest.mark.matrix("a forged IPv4 source on a private network", "first packet")
def test_another_address_or_mac_than_its_own_gets_nowhere(pair: tuple[Box, Box]) -> None:
    one, two = pair
    ping = ("ping", "-c", "1", "-W", "2")
    one.sh("ip addr add 10.78.0.200/24 dev eth1")
    forged = one.exec(*ping, "-I", "10.78.0.200", address(two))["exit_code"]
    one.sh("ip addr del 10.78.0.200/24 dev eth1")

    assert forged != 0
    assert one.exec("ping", "-c", "1", "-W", "30", address(two))["exit_code"] == 0


@pytest.mark.matrix("the host over a private network", "first packet")
def test_nothing_of_the_host_is_on_the_network(engine: LiveEngine, pair: tuple[Box, Box]) -> None:
    one = pair[0]

    assert one.exec("ping", "-c", "1", "-W", "1", "-I", "eth1", "169.254.77.1")["exit_code"] != 0
    assert one.exec("arping", "-c", "1", "-w", "1", "-I", "eth1", "169.254.77.1")["exit_code"] != 0


def test_a_network_in_use_is_not_deleted(engine: LiveEngine, pair: tuple[Box, Box]) -> None:
    answer = engine.http.delete("/v1/networks/lan")

    assert (answer.status_code, "used by 2 sandboxes" in answer.text) == (409, True)


@pytest.mark.parametrize("name", ["two", "two.fc.local", "two.lan.fc.local", "the id"])
def test_a_peer_is_found_by_its_names(pair: tuple[Box, Box], name: str) -> None:
    one, two = pair
    asked = f"{two.id}.fc.local" if name == "the id" else name

    assert address(two) in one.sh(f"nslookup {asked} 2>&1 || true")


def test_names_are_found_in_images_with_musl_and_with_glibc(
    engine: LiveEngine, pair: tuple[Box, Box], tmp_path: Path
) -> None:
    """busybox:1 brings glibc, linked into it; a program of another image brings musl."""
    one, two = pair
    program, source = tmp_path / "resolve", tmp_path / "resolve.c"
    source.write_text(RESOLVE)
    subprocess.run(["musl-gcc", "-static", "-Os", "-s", "-o", str(program), str(source)], check=True)
    engine.http.put(f"/v1/sandboxes/{one.id}/files", params={"path": "/resolve"}, content=program.read_bytes())
    one.sh("chmod +x /resolve")

    names = ["two", "two.fc.local", "two.lan.fc.local", f"{two.id}.fc.local", "nobody.fc.local", "two.other.fc.local"]
    found = one.exec("/resolve", *names)["stdout"].split()

    v6 = two.sh("ip -6 addr show dev eth1 scope global").split("inet6 ")[1].split("/")[0]
    assert [set(each.split(",")) for each in found] == [{address(two), v6}] * 4 + [{"-"}] * 2


@pytest.mark.matrix("a name of another private network", "first packet")
def test_a_name_of_another_network_is_not_known(pair: tuple[Box, Box]) -> None:
    one, two = pair
    attach(two, "other")

    answer = one.sh("nslookup two.other.fc.local 2>&1 || true")

    assert (address(two, "other") in answer, "NXDOMAIN" in answer) == (False, True)
    detach(two, "other")


@pytest.mark.matrix("a private network of the sandbox it was forked from", "fork")
@pytest.mark.matrix("peers on a private network", "pause and resume", succeeds=True)
@pytest.mark.matrix(TIGHT, "pause and resume", succeeds=True)
def test_a_network_is_kept_over_pause_and_resume(engine: LiveEngine, pair: tuple[Box, Box]) -> None:
    one, two = pair
    before = address(two)
    become(two, "pause", "paused")
    ports = {name for name in engine.private_links() if name.startswith(f"c{engine.instance}p")}
    while_paused = engine.call("GET", "/v1/networks/lan")["members"]

    child = fork(two)
    become(two, "resume", "running")

    assert len(ports) == 1
    assert [member["status"] for member in while_paused] == ["running", "paused"]
    assert address(two) == before
    assert (read(one, before), read(two, address(one))) == ("two", "one")
    assert [link for link in child.sh("ls /sys/class/net").split() if link != "lo"] == ["eth0"]
    assert silent(child, address(one))
    child.destroy()


def fork(box: Box) -> Box:
    """Return a running copy of a paused sandbox."""
    child = Box(box.engine, box.engine.call("POST", f"/v1/sandboxes/{box.id}/fork", {}))
    wait_for(lambda: child.view()["status"] == "running", 60, f"the fork does not run: {child.view()}")
    return child


@pytest.mark.matrix("peers on a private network", "daemon killed", succeeds=True)
@pytest.mark.matrix(TIGHT, "daemon killed", succeeds=True)
@pytest.mark.matrix("peers on a private network", "daemon down", succeeds=True)
@pytest.mark.matrix(TIGHT, "daemon down", succeeds=True)
def test_networks_outlive_the_daemon(engine: LiveEngine, pair: tuple[Box, Box]) -> None:
    one, two = pair
    one.sh(f"(while true; do ping -c 1 -W 1 {address(two)} && echo up >> /seen; done) > /dev/null 2>&1 &")
    before = wait_for(lambda: int(one.sh("wc -l < /seen || echo 0")), 10, "the members do not reach each other")
    engine.signal(signal.SIGKILL)
    links = engine.private_links()
    passed = _passed(links)
    wait_for(lambda: _passed(links) > passed + 40, 30, "nothing passes while no daemon runs")

    engine.start()

    assert engine.private_links() == links
    assert int(one.sh("wc -l < /seen")) > before + 5
    wait_for(lambda: read(one, address(two)) == "two", 20, "the members do not reach each other again")
    detach(two, "lan")
    assert two.sh("ls /sys/class/net").split() == ["eth0", "lo"]
    attach(two, "lan")


def _passed(links: set[str]) -> int:
    """Return how many packets have come in on links of the host."""
    listed = json.loads(subprocess.run(["ip", "-json", "-s", "link"], capture_output=True, check=True).stdout)
    return sum(link["stats64"]["rx"]["packets"] for link in listed if link["ifname"] in links)


def test_a_destroyed_member_leaves_the_network(engine: LiveEngine, pair: tuple[Box, Box]) -> None:
    pair[1].destroy()

    members = engine.call("GET", "/v1/networks/lan")["members"]
    assert [member["name"] for member in members] == ["one"]
    assert len([name for name in engine.private_links() if name.startswith(f"c{engine.instance}p")]) == 1
