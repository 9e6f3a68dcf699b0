"""What members of a private network reach, and that lies get nowhere; with real frames between namespaces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from createos_netconfig.addresses import link_local
from createos_netconfig.census import census
from createos_netconfig.links import Links
from createos_netconfig.nft import Nft

from tests.host import packets
from tests.host.netlab import UPLINK_V4, Lab
from tests.host.netserver import SILENCE, ask
from tests.host.netswitch import SEGMENTS, Member, Switch

pytestmark = pytest.mark.root

PORT, HOST_PORT = 8080, 9090
ADVERTISEMENT, SOLICITATION, ROUTER, REDIRECT = 136, 135, 134, 137
_BRIDGE_NF = Path("/proc/sys/net/bridge")


class World:
    """Two members of one network, a stranger on another."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.switch = Switch(lab)
        first, second = self.switch.segment(1), self.switch.segment(2)
        self.one, self.two = self.switch.member(first, 1), self.switch.member(first, 2)
        self.stranger = self.switch.member(second, 1)
        lab.servers.listen("0.0.0.0", HOST_PORT)
        for member in (self.two, self.stranger):
            with member.namespace.entered():
                for address in ("0.0.0.0", "::"):
                    lab.servers.listen(address, PORT)

    def heard(self, *frames: bytes) -> bytes:
        """Return what the second member heard of frames of the first, up to a true one that was sent after them."""
        ear = self.two.ear()
        for frame in frames:
            self.one.send(frame)
        self.one.send(self.true(b"the end"))
        return ear.hears_until(b"the end")

    def true(self, text: bytes) -> bytes:
        packet = packets.ipv4(self.one.v4, self.two.v4, packets.UDP, packets.udp(text, port=9))
        return packets.in_ipv4(self.two.port.mac, self.one.port.mac, packet)

    def udp_v4(self, text: bytes, *, source: str = "", mac: str = "", vlan: int | None = None) -> bytes:
        packet = packets.ipv4(source or self.one.v4, self.two.v4, packets.UDP, packets.udp(text, port=9))
        return packets.in_ipv4(self.two.port.mac, mac or self.one.port.mac, packet, vlan=vlan)

    def udp_v6(self, text: bytes, source: str) -> bytes:
        datagram = packets.udp_v6(source, self.two.v6, text, port=9)
        packet = packets.ipv6(source, self.two.v6, packets.UDP, datagram)
        return packets.in_ipv6(self.two.port.mac, self.one.port.mac, packet)

    def about(self, kind: int, about: str, option: bytes, *, source: str = "") -> bytes:
        packet = packets.discovery(kind, source or self.one.v6, self.two.v6, about, option)
        return packets.in_ipv6(self.two.port.mac, self.one.port.mac, packet)


@pytest.fixture(scope="module")
def world(shared: Lab) -> World:
    return World(shared)


@pytest.fixture(params=[0, 1], ids=["bridge-nf 0", "bridge-nf 1"])
def bridge_nf(request: pytest.FixtureRequest, shared: Lab) -> Iterator[int]:
    """Bridged packets are shown to the host's IP filters, as Docker has it, or not."""
    names = [
        name for name in ("iptables", "ip6tables", "arptables") if (_BRIDGE_NF / f"bridge-nf-call-{name}").exists()
    ]
    if request.param and not names:
        pytest.skip("this kernel has no br_netfilter")
    for name in names:
        shared.host.sysctl(f"bridge/bridge-nf-call-{name}", request.param)
    yield request.param
    for name in names:
        shared.host.sysctl(f"bridge/bridge-nf-call-{name}", 0)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_members_reach_each_other(world: World, bridge_nf: int, kind: str) -> None:
    with world.one.namespace.entered():
        assert ask(kind, world.two.v4, PORT) == world.one.v4
        assert ask(kind, world.two.v6, PORT) == world.one.v6
        assert ask(kind, f"{link_local(world.two.port.mac)}%eth1", PORT).startswith("fe80::")


def test_networks_are_apart(world: World, bridge_nf: int) -> None:
    ear = world.stranger.ear()
    packet = packets.ipv4(world.one.v4, world.stranger.v4, packets.UDP, packets.udp(b"to a stranger", port=PORT))
    for target in (world.stranger.port.mac, packets.BROADCAST):
        world.one.send(packets.in_ipv4(target, world.one.port.mac, packet))
    own = packets.ipv4(world.stranger.v4, world.stranger.v4, packets.UDP, packets.udp(b"own", port=9))
    with world.stranger.namespace.entered():
        packets.send(packets.in_ipv4(world.stranger.port.mac, world.stranger.port.mac, own), "eth1")

    assert b"to a stranger" not in ear.hears_until(b"own")


def test_no_address_of_the_host_is_reached(world: World, bridge_nf: int) -> None:
    """A frame for the bridge's own MAC would be delivered to any address of the host, on the bridge or not."""
    mac = world.lab.host.ip("link show ct3stb1").split("link/ether ")[1].split()[0]
    for target in (UPLINK_V4, "169.254.77.1", "255.255.255.255", "127.0.0.1"):
        packet = packets.ipv4(world.one.v4, target, packets.UDP, packets.udp(b"to the host", port=HOST_PORT))
        for where in (mac, packets.BROADCAST):
            world.one.send(packets.in_ipv4(where, world.one.port.mac, packet))
    world.heard()

    assert [line for line in world.lab.servers.seen if "to the host" in line] == []


def test_the_host_answers_no_question_on_the_network(world: World, bridge_nf: int) -> None:
    with world.one.namespace.entered():
        for address in (UPLINK_V4, "169.254.77.1"):
            packets.send(packets.arp_request(world.one.port.mac, world.one.v4, address), "eth1")
    ear = world.one.ear()
    with world.two.namespace.entered():
        ask("udp", world.one.v4, 9, patience_s=0.2)

    assert b"\x00\x02" not in ear.hears_until(b"who am I?")[20:22]
    assert world.lab.host.ip("addr show ct3stb1").count("inet") == 0
    assert world.lab.host.ip("neigh show dev ct3stb1") == ""


@pytest.mark.parametrize("source", ["10.78.0.3", "10.78.0.2", "10.78.1.1", "127.0.0.1", "0.0.0.0", "203.0.113.9"])
def test_a_forged_ipv4_source_is_dropped(world: World, bridge_nf: int, source: str) -> None:
    assert b"forged" not in world.heard(world.udp_v4(b"forged", source=source))


@pytest.mark.parametrize("source", ["fd78:c05b::2", "fd78:c05b::3", "fd78:c05b:0:1::1", "fe80::1", "::", "::1"])
def test_a_forged_ipv6_source_is_dropped(world: World, bridge_nf: int, source: str) -> None:
    assert b"forged" not in world.heard(world.udp_v6(b"forged", source))


@pytest.mark.parametrize("whose", ["nobody's", "another's"])
def test_a_forged_mac_is_dropped(world: World, bridge_nf: int, whose: str) -> None:
    mac = world.two.port.mac if whose == "another's" else "02:00:00:00:00:99"

    assert b"forged" not in world.heard(world.udp_v4(b"forged", mac=mac))


@pytest.mark.parametrize("vlan", [0, 1, 5])
def test_a_vlan_tag_is_refused(world: World, bridge_nf: int, vlan: int) -> None:
    tagged = world.udp_v4(b"tagged", vlan=vlan)
    twice = tagged[:12] + b"\x88\xa8\x00\x07" + tagged[12:]

    assert b"tagged" not in world.heard(tagged, twice)


def test_other_protocols_are_refused(world: World, bridge_nf: int) -> None:
    frames = [
        packets.ethernet(world.two.port.mac, world.one.port.mac, kind, b"other" * 12) for kind in (0x88CC, 0x8847, 64)
    ]

    assert b"other" not in world.heard(*frames)


def test_arp_lies_are_dropped(world: World, bridge_nf: int) -> None:
    mac, two = world.one.port.mac, world.two
    lies = [
        packets.arp_reply(mac, mac, "10.78.0.77", two.port.mac, two.v4),
        packets.arp_reply(mac, "02:00:00:00:00:99", world.one.v4, two.port.mac, two.v4),
        packets.arp_reply(mac, mac, two.v4, two.port.mac, two.v4),
        packets.arp_request(mac, "10.78.0.77", two.v4),
        packets.arp_request(mac, "0.0.0.0", two.v4),
    ]

    assert b"\x08\x06" not in {world.heard(lie)[12:14] for lie in lies}
    assert "10.78.0.77" not in two.namespace.ip("neigh show dev eth1")


def test_discovery_lies_are_dropped(world: World, bridge_nf: int) -> None:
    mac, forged, stranger = world.one.port.mac, "02:00:00:00:00:99", "fd78:c05b::77"
    lies = [
        world.about(ADVERTISEMENT, stranger, packets.link_option(2, mac)),
        world.about(ADVERTISEMENT, world.two.v6, packets.link_option(2, mac)),
        world.about(ADVERTISEMENT, world.one.v6, packets.link_option(2, forged)),
        world.about(ADVERTISEMENT, stranger, b""),
        world.about(SOLICITATION, world.two.v6, packets.link_option(1, forged)),
        world.about(SOLICITATION, world.two.v6, packets.link_option(1, mac), source="fd78:c05b::77"),
        world.about(SOLICITATION, world.two.v6, packets.link_option(1, mac) + packets.link_option(1, forged)),
        world.about(ROUTER, "::", b"", source=str(link_local(mac))),
        world.about(REDIRECT, stranger, b""),
    ]

    assert [lie for lie in lies if lie[14:] in world.heard(lie)] == []


def test_the_truth_about_oneself_is_heard(world: World, bridge_nf: int) -> None:
    mac = world.one.port.mac
    truths = [
        world.about(ADVERTISEMENT, world.one.v6, packets.link_option(2, mac)),
        world.about(ADVERTISEMENT, str(link_local(mac)), b""),
        world.about(SOLICITATION, world.two.v6, packets.link_option(1, mac)),
        packets.arp_reply(mac, mac, world.one.v4, world.two.port.mac, world.two.v4),
        world.udp_v4(b"true"),
        world.udp_v6(b"true", world.one.v6),
    ]

    assert [truth for truth in truths if truth[14:] not in world.heard(truth)] == []


def test_a_port_that_is_not_admitted_gets_nothing(world: World) -> None:
    port = world.switch.member(SEGMENTS.segment(world.switch.instance, 1), 9, admitted=False)

    with port.namespace.entered():
        assert ask("tcp", world.two.v4, PORT, patience_s=0.4) == SILENCE
        assert ask("tcp", world.two.v6, PORT, patience_s=0.4) in {SILENCE, "prohibited"}


def test_a_port_that_is_expelled_gets_nothing_and_may_come_back(world: World) -> None:
    world.switch.firewall.expel(world.one.port.slot)
    with world.one.namespace.entered():
        silent = ask("tcp", world.two.v4, PORT, patience_s=0.4)
    world.switch.firewall.expel(world.one.port.slot)
    world.switch.firewall.admit(world.one.port)

    assert silent in {SILENCE, "prohibited"}
    with world.one.namespace.entered():
        assert ask("tcp", world.two.v4, PORT) == world.one.v4


def test_a_port_off_its_bridge_is_no_way_into_the_host(world: World) -> None:
    loose = world.switch.member(SEGMENTS.segment(world.switch.instance, 1), 10)
    world.lab.host.ip(
        f"link set {loose.port.interface} nomaster", f"addr add 10.78.0.200/24 dev {loose.port.interface}"
    )

    with loose.namespace.entered():
        assert ask("tcp", "10.78.0.200", HOST_PORT, patience_s=0.4) == SILENCE
        assert ask("udp", "10.78.0.200", HOST_PORT, patience_s=0.4) == SILENCE
    world.lab.host.ip(f"link del {loose.port.interface}")


def test_a_daemon_that_starts_again_keeps_its_ports(world: World) -> None:
    admitted = world.switch.firewall.ports()

    world.switch.firewall.install([world.one.port, world.two.port, world.stranger.port])

    assert {1, 2, 3} <= admitted
    assert world.switch.firewall.ports() == {1, 2, 3}
    with world.one.namespace.entered():
        assert ask("tcp", world.two.v4, PORT) == world.one.v4


def test_members_of_the_world_hear_nothing_from_taps(world: World) -> None:
    """The routed world and private networks share no path."""
    guest = world.lab.guest(7)

    with guest.namespace.entered():
        assert ask("tcp", world.two.v4, PORT, patience_s=0.5) in {"refused", "prohibited", SILENCE}


def test_bridges_and_ports_come_and_go_and_others_stay(lab: Lab) -> None:
    switch = Switch(lab)
    lab.host.ip("link add c0th3b1 type bridge", "link add c0th3p1 type veth peer name c0th3p2")
    segment = switch.segment(4)
    port = segment.port(switch.instance, 5, 1)
    for _ in range(2):
        switch.firewall.admit(port)
        switch.run(lambda bridges: bridges.add_port(port))

    async def names() -> frozenset[str]:
        async with Links(switch.instance) as links:
            return (await census(switch.instance, links, Nft())).interfaces

    assert switch.run(lambda bridges: bridges.there()) == (frozenset({4}), frozenset({5}))
    assert {"ct3stb4", "ct3stp5"} <= asyncio.run(names())
    assert "master ct3stb4" in lab.host.ip("link show ct3stp5")
    for _ in range(2):
        switch.firewall.expel(port.slot)
        switch.run(lambda bridges: bridges.remove_port("ct3stp5"))
        switch.run(lambda bridges: bridges.remove_bridge("ct3stb4"))
    assert switch.run(lambda bridges: bridges.there()) == (frozenset(), frozenset())
    assert "c0th3b1" in lab.host.ip("link show")


def test_a_member_that_moves_its_mac_is_silent(world: World) -> None:
    """What a guest does to its own card changes nothing of what it may say."""
    member: Member = world.switch.member(SEGMENTS.segment(world.switch.instance, 1), 11)
    member.namespace.ip("link set eth1 address 02:00:00:00:00:55")

    with member.namespace.entered():
        assert ask("tcp", world.two.v4, PORT, patience_s=0.4) == SILENCE
