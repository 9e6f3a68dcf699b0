"""A real guest tries everything forbidden at every moment, and tcpdump outside sees none of it."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from createos_netconfig.addresses import GATEWAY_MAC

from tests.host import attempts, forgeries, packets
from tests.host.attempts import BY_TALKING, RULES
from tests.host.capture import Capture, capturing
from tests.host.forgeries import BY_FRAMES, MARK, Place
from tests.matrix import MOMENTS
from tests.vm.engine import Box, LiveEngine, live_engine, wait_for
from tests.vm.internet import PRIVATE_V4, RESOLVER, UPLINK_V4, UPLINK_V6, Internet, internet

TRY = "cd /tried && python3 -m tests.host.attempts"
FETCH = "from tests.host import attempts as a; print(a.http(a.SHARED, 'one.shared.test'))"
TABLES = ("inet", "inet egress", "arp", "netdev", "bridge")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    with internet(tmp_path_factory.mktemp("internet")) as made:
        yield made


@pytest.fixture(scope="module")
def engine(outside: Internet) -> Iterator[LiveEngine]:
    """A daemon of its own, since it is killed here."""
    with live_engine(resolvers=f'["{RESOLVER}"]') as engine:
        yield engine


@pytest.fixture(scope="module")
def neighbour(engine: LiveEngine) -> Box:
    """Another sandbox of the same user."""
    return engine.create(name="neighbour")


@pytest.fixture(scope="module")
def guest(engine: LiveEngine, neighbour: Box) -> Box:
    """A sandbox under rules, with a program that writes frames by hand."""
    box = engine.create(name="hostile", rootfs="devbox:1", disk_mib=2048, egress=list(RULES))
    for module in (packets, forgeries, attempts):
        text = Path(str(module.__file__)).read_text()
        name = f"/tried/{module.__name__.replace('.', '/')}.py"
        box.exec("/bin/sh", "-c", f"mkdir -p $(dirname {name}) && cat > {name}", stdin=text)
    return box


@pytest.fixture(scope="module")
def forked(engine: LiveEngine, guest: Box) -> Box:
    """A fork of the guest, made while that was paused; and rules that were changed meanwhile."""
    become(guest, "pause", "paused")
    engine.call("PUT", f"/v1/sandboxes/{guest.id}/egress", {"egress": ["203.0.113.21"]})
    child = Box(engine, engine.call("POST", f"/v1/sandboxes/{guest.id}/fork", {"egress": list(RULES)}))
    engine.call("PUT", f"/v1/sandboxes/{guest.id}/egress", {"egress": list(RULES)})
    become(guest, "resume", "running")
    wait_for(lambda: child.view()["status"] == "running", 90, "the fork does not run")
    return child


def become(box: Box, verb: str, state: str) -> None:
    """Pause or resume, and wait until that is done."""
    box.engine.call("POST", f"/v1/sandboxes/{box.id}/{verb}")
    wait_for(lambda: box.view()["status"] == state, 90, f"{verb} did not end in {state}")


def tap(box: Box) -> str:
    """Return the host's end of a sandbox's link."""
    return str(next(route["dev"] for route in ip("route") if route["dst"] == box.view()["ip"]))


def ip(*words: str) -> list[dict[str, Any]]:
    """Return what ip(8) says."""
    found: list[dict[str, Any]] = json.loads(
        subprocess.run(["ip", "-json", *words], capture_output=True, check=True).stdout
    )
    return found


def addresses(box: Box) -> tuple[str, str, str]:
    """Return a sandbox's MAC, IPv4 and IPv6 address, as the host was told once and for all."""
    known = ip("neigh", "show", "nud", "permanent", "dev", tap(box))
    v4, v6 = (next(each["dst"] for each in known if (":" in each["dst"]) is is_v6) for is_v6 in (False, True))
    return str(known[0]["lladdr"]), v4, v6


def command(box: Box, neighbour: Box) -> str:
    """Return the shell line that tries everything from inside a sandbox."""
    (mac, v4, v6), (other_mac, other_v4, other_v6) = addresses(box), addresses(neighbour)
    place = Place(
        *(mac, GATEWAY_MAC, v4, v6),
        hosts=(UPLINK_V4, UPLINK_V6),
        other_mac=other_mac,
        other_v4=other_v4,
        other_v6=other_v6,
        private=(PRIVATE_V4, "10.1.2.3", "fd50::10"),
    )
    return f"{TRY} {shlex.quote(place.as_json())}"


class Watched:
    """Captures outside, at the neighbour's link, and what the servers of host and internet heard."""

    def __init__(self, outside: Internet, neighbour: Box, directory: Path) -> None:
        self._outside, self._neighbour, self._directory = outside, neighbour, directory
        self._captures = ExitStack()

    def __enter__(self) -> Watched:
        self._outside.servers.seen.clear()
        with self._outside.namespace.entered():
            self.uplink: Capture = self._captures.enter_context(capturing("net0", self._directory / "uplink.pcap"))
        pcap = self._directory / "neighbour.pcap"
        self._beside = self._captures.enter_context(capturing(tap(self._neighbour), pcap, direction="out"))
        return self

    def __exit__(self, *_error: object) -> None:
        self._captures.close()

    def leaks(self) -> list[str]:
        """Return in words everything that arrived where it must not."""
        heard = [line for line in self._outside.servers.seen if MARK.decode() in line]
        return [*self.uplink.forbidden(UPLINK_V4, RESOLVER), *self._beside.forbidden("", ""), *heard]


def _marked(moment: str) -> object:
    may = attempts.allowed(daemon=moment != "daemon down")
    marks = [pytest.mark.matrix(attempt, moment) for attempt in (*BY_FRAMES, *BY_TALKING)]
    return pytest.param(moment, marks=[*marks, *(pytest.mark.matrix(name, moment, succeeds=True) for name in may)])


@pytest.mark.parametrize("moment", [_marked(moment) for moment in MOMENTS if moment != "daemon down"])
def test_nothing_forbidden_gets_out_and_what_is_allowed_does(
    engine: LiveEngine,
    outside: Internet,
    guest: Box,
    neighbour: Box,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    moment: str,
) -> None:
    box = request.getfixturevalue("forked") if moment in ("fork", "pause and resume") else guest
    box = guest if moment == "pause and resume" else box
    if moment == "rule change":
        for rules in (["203.0.113.21"], list(RULES)):
            engine.call("PUT", f"/v1/sandboxes/{guest.id}/egress", {"egress": rules})
    if moment == "daemon killed":
        engine.signal(signal.SIGKILL)
        engine.start()
        wait_for(lambda: guest.view()["status"] == "running", 30, "it was not adopted")
    line = command(box, neighbour)

    with Watched(outside, neighbour, tmp_path) as watched:
        said = json.loads(box.sh(line))

    assert watched.leaks() == []
    assert len(watched.uplink) > 0
    assert said == attempts.expected(daemon=True)


@pytest.mark.parametrize("moment", [_marked("daemon down")])
def test_while_no_daemon_runs_the_kernel_holds(
    engine: LiveEngine, outside: Internet, guest: Box, neighbour: Box, tmp_path: Path, moment: str
) -> None:
    line = f"{command(guest, neighbour)} {attempts.WHEN_DOWN}"
    guest.sh(f"({line} > /tried/said) > /dev/null 2>&1 &")
    with Watched(outside, neighbour, tmp_path) as watched:
        engine.signal(signal.SIGKILL)
        wait_for(lambda: watched.uplink.holds(attempts.END), 60, "not everything was tried")
    engine.start()

    assert watched.leaks() == []
    assert json.loads(wait_for(lambda: guest.sh("cat /tried/said"), 20, "nothing was said")) == attempts.expected(
        daemon=False
    )


@pytest.mark.matrix("anything, after `nft flush ruleset` by somebody else", "rule change")
def test_rules_that_somebody_removes_are_back_at_once_and_nothing_passes_meanwhile(
    engine: LiveEngine, outside: Internet, guest: Box, neighbour: Box, tmp_path: Path
) -> None:
    line = command(guest, neighbour)
    guest.sh(f"(while {line}; do :; done) > /dev/null 2>&1 & echo $! > /tried/pid")
    with Watched(outside, neighbour, tmp_path) as watched:
        wait_for(lambda: watched.uplink.holds(attempts.END), 60, "nothing was tried")
        for _ in range(3):
            subprocess.run(["nft", "flush", "ruleset"], check=True)
            wait_for(lambda: len(_tables(engine)) == len(TABLES), 10, "the rules are not back")
        guest.sh("kill $(cat /tried/pid)")

    assert watched.leaks() == []
    assert "200" in guest.sh(f'cd /tried && python3 -c "{FETCH}"')


@pytest.mark.matrix("peers on a private network under a tight allowlist", "first packet", succeeds=True)
def test_peers_are_found_by_name_in_debian_too_and_no_allowlist_is_in_their_way(
    engine: LiveEngine, guest: Box, neighbour: Box
) -> None:
    engine.call("POST", "/v1/networks", {"name": "lan"})
    for box in (guest, neighbour):
        engine.call("POST", f"/v1/sandboxes/{box.id}/networks", {"id": "lan"})
    neighbour.sh("mkdir -p /www; echo neighbour > /www/index.html; httpd -p 0.0.0.0:8080 -h /www")
    names = ("neighbour", "neighbour.fc.local", "neighbour.lan.fc.local", f"{neighbour.id}.fc.local")

    found = guest.sh(f"for name in {' '.join(names)}; do getent ahostsv4 $name | cut -d' ' -f1 | uniq; done").split()
    strange = guest.exec("getent", "hosts", "nobody.fc.local")["exit_code"]

    members = engine.call("GET", "/v1/networks/lan")["members"]
    its_address = next(member["ip"] for member in members if member["sandbox_id"] == neighbour.id)
    assert (found, strange) == ([its_address] * 4, 2)
    assert guest.sh("curl -s -m 10 http://neighbour:8080/") == "neighbour\n"


def _tables(engine: LiveEngine) -> set[str]:
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    return {line for line in listed.splitlines() if f"createos_{engine.instance}" in line}
