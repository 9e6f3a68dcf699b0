"""Who is on a private network reaches its peers at every moment; who is not, or lies, reaches nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.host import packets
from tests.host.netlab import UPLINK_V4, Lab
from tests.host.netserver import SILENCE, ask
from tests.host.netswitch import HOST_PORT, PORT, Member, World
from tests.matrix import MOMENTS

pytestmark = pytest.mark.root

MUST_FAIL = (
    "VLAN tags on a private network",
    "a forged IPv4 source on a private network",
    "a forged IPv6 source on a private network",
    "a forged MAC on a private network",
    "a member of another private network",
    "a private network that it left",
    "forged ARP on a private network",
    "forged neighbour discovery on a private network",
    "other protocols than IP on a private network",
    "the host over a private network",
)
ADVERTISEMENT, FORGED_MAC = 136, "02:00:00:00:00:99"


@pytest.fixture(scope="module")
def world(shared: Lab) -> World:
    return World(shared)


def changed(world: World) -> None:
    """Somebody else joins the network and leaves it."""
    other = world.switch.member(world.first, 40)
    world.switch.firewall.expel(other.port.slot)
    world.switch.run(lambda bridges: bridges.remove_port(other.port.interface))


def paused(world: World) -> None:
    """What a pause and a resume do to a port: shut out, and let in again where it was."""
    world.switch.firewall.expel(world.one.port.slot)
    with world.one.namespace.entered():
        assert ask("tcp", world.two.v4, PORT, patience_s=0.2) in {SILENCE, "prohibited"}
    world.switch.firewall.admit(world.one.port)
    world.switch.run(lambda bridges: bridges.add_port(world.one.port))


def forked(world: World) -> None:
    """A fork has no port: one that was made and not admitted is none either."""
    copy = world.switch.member(world.first, 41, admitted=False)
    with copy.namespace.entered():
        assert ask("tcp", world.two.v4, PORT, patience_s=0.2) in {SILENCE, "prohibited"}
    world.switch.run(lambda bridges: bridges.remove_port(copy.port.interface))


def installed_again(world: World) -> None:
    """What the next daemon does first."""
    world.switch.firewall.install([world.one.port, world.two.port, world.stranger.port])


def nothing(world: World) -> None:
    """No daemon has a part in any of it."""


_ARRANGE: dict[str, Callable[[World], None]] = {
    "first packet": nothing,
    "rule change": changed,
    "pause and resume": paused,
    "fork": forked,
    "daemon killed": installed_again,
    "daemon down": nothing,
}


def _marked(moment: str) -> object:
    marks = [pytest.mark.matrix(attempt, moment) for attempt in MUST_FAIL]
    return pytest.param(moment, marks=[*marks, pytest.mark.matrix("peers on a private network", moment, succeeds=True)])


@pytest.mark.parametrize("moment", [_marked(moment) for moment in MOMENTS])
def test_peers_are_reached_and_nothing_else_is(world: World, moment: str) -> None:
    _ARRANGE[moment](world)
    left = world.switch.member(world.first, 50)
    world.switch.firewall.expel(left.port.slot)
    ear = world.stranger.ear()

    heard = world.heard(*_lies(world))
    for frame in _to_host(world):
        world.one.send(frame)
    with left.namespace.entered():
        packets.send(_true(left, world.two, b"FORGED from who left"), "eth1")
    world.one.send(_true(world.one, world.stranger, b"FORGED to a stranger"))
    with world.stranger.namespace.entered():
        packets.send(_true(world.stranger, world.stranger, b"own"), "eth1")

    assert b"FORGED" not in heard + world.heard() + ear.hears_until(b"own")
    assert "10.78.0.77" not in world.two.namespace.ip("neigh show dev eth1")
    assert [line for line in world.lab.servers.seen if "FORGED" in line or "COMMON" in line] == []
    with world.one.namespace.entered():
        assert ask("tcp", world.two.v4, PORT) == world.one.v4
        assert ask("udp", world.two.v6, PORT) == world.one.v6
    world.switch.run(lambda bridges: bridges.remove_port(left.port.interface))


def _lies(world: World) -> list[bytes]:
    """Return frames of the first member that the second must not hear; some have the mark in their padding."""
    mac, two = world.one.port.mac, world.two
    about = packets.link_option(2, FORGED_MAC)
    return [
        world.udp_v4(b"FORGED v4", source="10.78.0.77"),
        world.udp_v4(b"FORGED mac", mac=FORGED_MAC),
        world.udp_v4(b"FORGED tag", vlan=5),
        world.udp_v6(b"FORGED v6", "fd78:c05b::77"),
        packets.ethernet(two.port.mac, mac, 0x88CC, b"FORGED protocol" * 4),
        packets.arp_reply(mac, mac, "10.78.0.77", two.port.mac, two.v4) + b"FORGED arp",
        packets.arp_reply(mac, FORGED_MAC, world.one.v4, two.port.mac, two.v4) + b"FORGED arp",
        world.about(ADVERTISEMENT, "fd78:c05b::77", about) + b"FORGED discovery",
        world.about(ADVERTISEMENT, world.two.v6, about) + b"FORGED discovery",
    ]


def _to_host(world: World) -> Iterator[bytes]:
    bridge = world.lab.host.ip("link show ct3stb1").split("link/ether ")[1].split()[0]
    for target in (UPLINK_V4, "169.254.77.1", "255.255.255.255"):
        datagram = packets.udp(b"FORGED to the host", port=HOST_PORT)
        packet = packets.ipv4(world.one.v4, target, packets.UDP, datagram)
        for mac in (bridge, packets.BROADCAST):
            # Peers may hear a broadcast of a member; the host must not.
            text = packet if mac == bridge else packet.replace(b"FORGED", b"COMMON")
            yield packets.in_ipv4(mac, world.one.port.mac, text)


def _true(sender: Member, target: Member, text: bytes) -> bytes:
    packet = packets.ipv4(sender.v4, target.v4, packets.UDP, packets.udp(text, port=9))
    return packets.in_ipv4(target.port.mac, sender.port.mac, packet)
