"""Everything forbidden is tried at every moment, and tcpdump outside sees none of it; what is allowed works."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from createos_netconfig.addresses import link_local
from createos_netconfig.links import Links
from createos_netconfig.rules import parse

from tests.host import attempts
from tests.host.attempts import BY_TALKING, RULES
from tests.host.capture import capturing
from tests.host.egresslab import DNS_SERVER, FORBIDDEN_V4, FORBIDDEN_V6, OTHER_V4, RECORDS, SHARED_V4, EgressLab
from tests.host.forgeries import ALLOWED, ALLOWED_PORT, BY_FRAMES, LIMITED, MARK, Place, send_frames
from tests.host.netlab import LAN_V4, LAN_V6, PRIVATE_SERVER_V4, UPLINK_V4, UPLINK_V6, Guest
from tests.host.netserver import ask
from tests.host.webserver import WebServer
from tests.matrix import MOMENTS

pytestmark = pytest.mark.root

PORT = 8080


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EgressLab]:
    with ExitStack() as closing:
        lab = EgressLab(closing, RECORDS)
        web = WebServer(tmp_path_factory.mktemp("web"))
        closing.callback(web.close)
        lab.internet.ip(f"addr add {LIMITED}/32 dev lo")
        with lab.internet.entered():
            for address in (ALLOWED, SHARED_V4, OTHER_V4, FORBIDDEN_V4):
                web.listen(address, 80)
                web.listen(address, 443, tls=True)
            web.listen(LIMITED, ALLOWED_PORT)
            for address in (ALLOWED, FORBIDDEN_V4, FORBIDDEN_V6, PRIVATE_SERVER_V4):
                lab.servers.listen(address, PORT)
        lab.servers.listen("0.0.0.0", PORT)
        lab.servers.listen("::", PORT)
        yield lab


def first_packet(world: EgressLab) -> Guest:
    return world.box(1, *RULES)


def rule_change(world: EgressLab) -> Guest:
    guest = world.box(2)
    world.change(guest, FORBIDDEN_V4)
    world.change(guest, *RULES)
    return guest


def pause_and_resume(world: EgressLab) -> Guest:
    """What the engine does to a link: shut it out, close it, and open it under the rules of its row."""
    guest = world.box(3, "*")
    asyncio.run(_closed(world, guest))
    _reopened(world, guest)
    return guest


def fork(world: EgressLab) -> Guest:
    """A link that comes up closed beside its parent's, and is opened under rules of its own."""
    world.box(4, "*")
    guest = world.box(5, "*")
    asyncio.run(_closed(world, guest))
    _reopened(world, guest)
    return guest


def daemon_killed(world: EgressLab) -> Guest:
    guest = world.box(6, *RULES)
    world.kill()
    world.start()
    world.firewall.admit(guest.endpoint, parse(RULES))
    return guest


def daemon_down(world: EgressLab) -> Guest:
    guest = world.box(7, *RULES)
    world.kill()
    return guest


async def _closed(world: EgressLab, guest: Guest) -> None:
    world.firewall.expel(guest.endpoint)
    async with Links(world.instance) as links:
        await links.add_closed_tap(guest.endpoint.interface)


def _reopened(world: EgressLab, guest: Guest) -> None:
    world.firewall.admit(guest.endpoint, parse(RULES))
    world.add_tap(world.instance, guest.endpoint)
    world.firewall.hear(guest.endpoint)
    guest.namespace.ip(
        "link set eth0 down",
        "link set eth0 up",
        "route replace 169.254.77.1 dev eth0",
        "route replace default via 169.254.77.1 dev eth0",
    )


_ARRANGE: dict[str, Callable[[EgressLab], Guest]] = {
    "first packet": first_packet,
    "rule change": rule_change,
    "pause and resume": pause_and_resume,
    "fork": fork,
    "daemon killed": daemon_killed,
    "daemon down": daemon_down,
}


def _marked(moment: str) -> object:
    """Fill the cells of a moment."""
    may = attempts.allowed(daemon=moment != "daemon down")
    marks = [pytest.mark.matrix(attempt, moment) for attempt in (*BY_FRAMES, *BY_TALKING)]
    return pytest.param(moment, marks=[*marks, *(pytest.mark.matrix(name, moment, succeeds=True) for name in may)])


@pytest.mark.parametrize("moment", [_marked(moment) for moment in MOMENTS])
def test_nothing_forbidden_gets_out_and_what_is_allowed_does(world: EgressLab, moment: str, tmp_path: Path) -> None:
    neighbour = world.box(40, "*")
    guest = _ARRANGE[moment](world)
    world.servers.seen.clear()
    try:
        with ExitStack() as captures:
            with world.internet.entered():
                outside = captures.enter_context(capturing("net0", tmp_path / "uplink.pcap"))
            with neighbour.namespace.entered():
                beside = captures.enter_context(capturing("eth0", tmp_path / "neighbour.pcap"))
            with guest.namespace.entered():
                send_frames(_place(world, guest, neighbour))
                said = attempts.talk()
                assert ask("udp", ALLOWED, PORT) == UPLINK_V4
    finally:
        if moment == "daemon down":
            world.start()

    assert outside.forbidden(UPLINK_V4, DNS_SERVER) == []
    assert beside.forbidden("", "") == []
    assert [line for line in world.servers.seen if MARK.decode() in line] == []
    assert _told(world, guest) <= {guest.v4, guest.v6, _link_local(guest)}
    assert len(outside) > 0
    assert said == attempts.expected(daemon=moment != "daemon down")


def _place(world: EgressLab, guest: Guest, neighbour: Guest) -> Place:
    gateway = re.findall(r"link/ether ([0-9a-f:]+)", world.host.ip(f"link show {guest.endpoint.interface}"))[0]
    return Place(
        *(guest.endpoint.mac, gateway, guest.v4, guest.v6),
        hosts=(UPLINK_V4, LAN_V4, UPLINK_V6, LAN_V6),
        other_mac=neighbour.endpoint.mac,
        other_v4=neighbour.v4,
        other_v6=neighbour.v6,
    )


def _told(world: EgressLab, guest: Guest) -> set[str]:
    """Return the addresses that the host believes to be behind a guest's link."""
    return {line.split()[0] for line in world.host.ip(f"neigh show dev {guest.endpoint.interface}").splitlines()}


def _link_local(guest: Guest) -> str:
    return str(link_local(guest.endpoint.mac))


def test_a_guest_that_hides_makes_the_host_send_nothing_outside(world: EgressLab, tmp_path: Path) -> None:
    """A refusal that cannot be delivered must not come back as an error to the address that was refused."""
    guest = world.box(50, *RULES)
    for family in ("ipv4", "ipv6"):
        world.host.sysctl(f"{family}/neigh/{guest.endpoint.interface}/retrans_time_ms", 10)
    place = _place(world, guest, world.box(51))
    guest.namespace.ip("addr flush dev eth0")
    with world.internet.entered(), capturing("net0", tmp_path / "uplink.pcap") as outside:
        with guest.namespace.entered():
            send_frames(place)
        time.sleep(0.5)

    assert outside.forbidden(UPLINK_V4, DNS_SERVER) == []
