"""A real guest under egress rules: names, addresses, live changes, pause, fork, a daemon that dies.

"The internet" is a network namespace with documentation addresses, a DNS server and a web server.
"""

from __future__ import annotations

import logging
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.host.dnsserver import DnsServer
from tests.host.netlab import Namespace
from tests.host.webserver import WebServer
from tests.vm.engine import Box, LiveEngine, live_engine, wait_for

ALLOWED, SHARED, FORBIDDEN = "198.51.100.20", "198.51.100.21", "198.51.100.22"
RESOLVER = "198.51.100.53"
QUOTA_BYTES = 2**20
RECORDS = {
    "allowed.test": [f"A {ALLOWED}"],
    "one.shared.test": [f"A {SHARED}"],
    "two.shared.test": [f"A {SHARED}"],
    "forbidden.test": [f"A {FORBIDDEN}"],
    "rebind.test": ["A 169.254.169.254", "A 198.51.100.1"],
}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """An internet behind a link of this namespace."""
    with ExitStack() as closing:
        internet = Namespace()
        closing.callback(internet.close)
        commands = [
            f"link add egress0 type veth peer name net0 netns {internet.path}",
            "addr add 198.51.100.1/24 dev egress0",
            "link set egress0 up",
        ]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
        closing.callback(subprocess.run, ["ip", "link", "del", "egress0"], check=True)
        addresses = (ALLOWED, SHARED, FORBIDDEN, RESOLVER)
        internet.ip(*(f"addr add {address}/24 dev net0" for address in addresses), "link set net0 up")
        internet.ip("route add default via 198.51.100.1")
        dns, server = DnsServer(RECORDS), WebServer(tmp_path_factory.mktemp("web"))
        closing.callback(dns.close)
        closing.callback(server.close)
        with internet.entered():
            dns.listen(RESOLVER)
            for address in (ALLOWED, SHARED, FORBIDDEN):
                server.listen(address, 80)
                server.listen(address, 8080)
        yield server


@pytest.fixture(scope="module")
def sandboxes(web: WebServer) -> Iterator[LiveEngine]:
    """An engine whose sandboxes' names are asked of that internet, and who may send so much."""
    with live_engine(resolvers=f'["{RESOLVER}"]', bandwidth_quota_mib=QUOTA_BYTES // 2**20) as engine:
        yield engine


@pytest.fixture(scope="module")
def guarded(sandboxes: LiveEngine) -> Iterator[Box]:
    box = sandboxes.create(name="guarded", egress=["one.shared.test", "allowed.test:8080", f"{ALLOWED}:80"])
    yield box
    box.destroy()


def fetch(box: Box, host: str, *, address: str = "", port: int = 80) -> str:
    """Return what `GET /` brings, or nothing; without an address the guest asks for the name itself."""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    done = box.exec("nc", "-w", "30", address or host, str(port), stdin=request)
    # Shown with a failure: why there was no answer.
    logging.getLogger(__name__).warning("%s %s %d: %s", host, address, port, done)
    return str(done["stdout"]).rpartition("\r\n\r\n")[2].strip()


def rules(box: Box, *wanted: str) -> None:
    assert box.engine.call("PUT", f"/v1/sandboxes/{box.id}/egress", {"egress": list(wanted)})["egress"] == list(wanted)


def denied(box: Box) -> set[tuple[str, str]]:
    rows = box.engine.call("GET", f"/v1/sandboxes/{box.id}/egress/denials")["data"]
    return {(row["target"], row["code"]) for row in rows}


def holds(box: Box) -> None:
    """What is allowed is reached, by name and by address, and nothing else is; each try is answered at once."""
    assert fetch(box, "one.shared.test") == "one.shared.test / 0"
    assert fetch(box, "allowed.test", port=8080) == "allowed.test / 0"
    assert fetch(box, "x", address=ALLOWED) == "x / 0"
    assert fetch(box, "x", address=FORBIDDEN) == ""
    assert fetch(box, "forbidden.test") == ""
    assert "no egress rule" in fetch(box, "two.shared.test", address=SHARED)
    assert fetch(box, "x", address=ALLOWED, port=8081) == ""


@pytest.mark.matrix("a host by its name", "first packet", succeeds=True)
@pytest.mark.matrix("a host by its address", "first packet", succeeds=True)
@pytest.mark.matrix("an address that no rule lists", "first packet")
@pytest.mark.matrix("a forbidden name", "first packet")
@pytest.mark.matrix("a forbidden name on an allowed address (HTTP Host)", "first packet")
def test_rules_of_a_create_hold_and_say_what_they_refused(guarded: Box) -> None:
    assert guarded.row["egress"] == ["one.shared.test", "allowed.test:8080", f"{ALLOWED}:80"]

    holds(guarded)

    assert {
        (FORBIDDEN, "unlisted"),
        ("forbidden.test", "name"),
        ("two.shared.test", "forbidden_name"),
    } <= denied(guarded)


@pytest.mark.matrix("a private or host address behind an allowed name (rebinding)", "first packet")
def test_a_name_that_points_home_brings_nothing(sandboxes: LiveEngine, guarded: Box) -> None:
    rules(guarded, "rebind.test", "one.shared.test", "allowed.test:8080", f"{ALLOWED}:80")

    assert guarded.exec("nslookup", "rebind.test")["stdout"].count("Address") <= 1
    assert fetch(guarded, "rebind.test", port=8080) == ""


@pytest.mark.matrix("an address that no rule lists", "rule change")
def test_a_change_is_in_force_at_once_and_explained(guarded: Box) -> None:
    rules(guarded, FORBIDDEN)
    assert fetch(guarded, "x", address=FORBIDDEN) == "x / 0"
    assert fetch(guarded, "x", address=ALLOWED) == ""

    rules(guarded)
    assert fetch(guarded, "forbidden.test") == "forbidden.test / 0"

    rules(guarded, "one.shared.test", "allowed.test:8080", f"{ALLOWED}:80")
    path = f"/v1/sandboxes/{guarded.id}/egress/explain?host=allowed.test&port=443"
    assert guarded.engine.call("GET", path)["reason"] == "allowed.test is allowed on port 8080, not on port 443"
    holds(guarded)


def test_bytes_are_counted(guarded: Box) -> None:
    path = f"/v1/sandboxes/{guarded.id}/bandwidth"
    before = guarded.engine.call("GET", path)
    fetch(guarded, "x", address=ALLOWED)
    fetch(guarded, "one.shared.test")

    after = guarded.engine.call("GET", path)

    assert after["used_bytes"] > before["used_bytes"]
    assert after["ingress_bytes"] > before["ingress_bytes"]
    assert (after["quota_bytes"], after["capped"]) == (QUOTA_BYTES, False)
    assert after["remaining_bytes"] == QUOTA_BYTES - after["used_bytes"]


@pytest.mark.matrix("an address that no rule lists", "daemon down")
@pytest.mark.matrix("an address that no rule lists", "daemon killed")
@pytest.mark.matrix("a host by its address", "daemon down", succeeds=True)
@pytest.mark.matrix("a host by its address", "daemon killed", succeeds=True)
def test_a_daemon_that_dies_takes_no_rule_with_it(sandboxes: LiveEngine, guarded: Box) -> None:
    script = f"""
        n=0
        while [ $n -lt 60 ]; do
            n=$((n+1))
            for target in {ALLOWED} {FORBIDDEN}; do
                printf 'GET / HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n' | nc -w 2 $target 80 | grep -q / && echo $target
            done
            sleep 0.2
        done > /tmp/reached 2>/dev/null &
    """
    guarded.exec("/bin/sh", "-c", script)
    used = guarded.engine.call("GET", f"/v1/sandboxes/{guarded.id}/bandwidth")["used_bytes"]
    sandboxes.signal(signal.SIGKILL)
    sandboxes.start()

    wait_for(lambda: ALLOWED in guarded.sh("cat /tmp/reached"), 20, "nothing was reached")
    assert FORBIDDEN not in guarded.sh("cat /tmp/reached")
    holds(guarded)
    assert guarded.engine.call("GET", f"/v1/sandboxes/{guarded.id}/bandwidth")["used_bytes"] > used


def test_a_quota_ends_what_goes_out(guarded: Box) -> None:
    path = f"/v1/sandboxes/{guarded.id}/bandwidth"
    guarded.exec("/bin/sh", "-c", f"head -c 3000000 /dev/zero | nc -w 3 {ALLOWED} 80")

    spent = guarded.engine.call("GET", path)
    assert spent["capped"] or spent["remaining_bytes"] < 100_000
    assert fetch(guarded, "x", address=ALLOWED) == "" or not spent["capped"]
    assert guarded.engine.call("POST", f"{path}/recharge", {"add_bytes": 10_000_000})["capped"] is False
    assert fetch(guarded, "x", address=ALLOWED) == "x / 0"
