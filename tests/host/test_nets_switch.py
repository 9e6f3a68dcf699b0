"""What members of a private network reach, and that lies get nowhere; with real frames between namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from createos_netconfig.addresses import link_local

from tests.host import packets
from tests.host.netlab import UPLINK_V4, Lab
from tests.host.netserver import ask
from tests.host.netswitch import HOST_PORT, PORT, World

pytestmark = pytest.mark.root

ADVERTISEMENT, SOLICITATION, ROUTER, REDIRECT = 136, 135, 134, 137
_BRIDGE_NF = Path("/proc/sys/net/bridge")


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


@pytest.mark.matrix("peers on a private network", "first packet", succeeds=True)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_members_reach_each_other(world: World, bridge_nf: int, kind: str) -> None:
    with world.one.namespace.entered():
        assert ask(kind, world.two.v4, PORT) == world.one.v4
        assert ask(kind, world.two.v6, PORT) == world.one.v6
        assert ask(kind, f"{link_local(world.two.port.mac)}%eth1", PORT).startswith("fe80::")


@pytest.mark.matrix("a member of another private network", "first packet")
def test_networks_are_apart(world: World, bridge_nf: int) -> None:
    ear = world.stranger.ear()
    packet = packets.ipv4(world.one.v4, world.stranger.v4, packets.UDP, packets.udp(b"to a stranger", port=PORT))
    for target in (world.stranger.port.mac, packets.BROADCAST):
        world.one.send(packets.in_ipv4(target, world.one.port.mac, packet))
    own = packets.ipv4(world.stranger.v4, world.stranger.v4, packets.UDP, packets.udp(b"own", port=9))
    with world.stranger.namespace.entered():
        packets.send(packets.in_ipv4(world.stranger.port.mac, world.stranger.port.mac, own), "eth1")

    assert b"to a stranger" not in ear.hears_until(b"own")


@pytest.mark.matrix("the host over a private network", "first packet")
def test_no_address_of_the_host_is_reached(world: World, bridge_nf: int) -> None:
    """A frame for the bridge's own MAC would be delivered to any address of the host, on the bridge or not."""
    mac = world.lab.host.ip("link show ct3stb1").split("link/ether ")[1].split()[0]
    for target in (UPLINK_V4, "169.254.77.1", "255.255.255.255", "127.0.0.1"):
        packet = packets.ipv4(world.one.v4, target, packets.UDP, packets.udp(b"to the host", port=HOST_PORT))
        for where in (mac, packets.BROADCAST):
            world.one.send(packets.in_ipv4(where, world.one.port.mac, packet))
    world.heard()

    assert [line for line in world.lab.servers.seen if "to the host" in line] == []


@pytest.mark.matrix("the host over a private network", "first packet")
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


@pytest.mark.matrix("a forged IPv4 source on a private network", "first packet")
@pytest.mark.parametrize("source", ["10.78.0.3", "10.78.0.2", "10.78.1.1", "127.0.0.1", "0.0.0.0", "203.0.113.9"])
def test_a_forged_ipv4_source_is_dropped(world: World, bridge_nf: int, source: str) -> None:
    assert b"forged" not in world.heard(world.udp_v4(b"forged", source=source))


@pytest.mark.matrix("a forged IPv6 source on a private network", "first packet")
@pytest.mark.parametrize("source", ["fd78:c05b::2", "fd78:c05b::3", "fd78:c05b:0:1::1", "fe80::1", "::", "::1"])
def test_a_forged_ipv6_source_is_dropped(world: World, bridge_nf: int, source: str) -> None:
    assert b"forged" not in world.heard(world.udp_v6(b"forged", source))


@pytest.mark.matrix("a forged MAC on a private network", "first packet")
@pytest.mark.parametrize("whose", ["nobody's", "another's"])
def test_a_forged_mac_is_dropped(world: World, bridge_nf: int, whose: str) -> None:
    mac = world.two.port.mac if whose == "another's" else "02:00:00:00:00:99"

    assert b"forged" not in world.heard(world.udp_v4(b"forged", mac=mac))


@pytest.mark.matrix("VLAN tags on a private network", "first packet")
@pytest.mark.parametrize("vlan", [0, 1, 5])
def test_a_vlan_tag_is_refused(world: World, bridge_nf: int, vlan: int) -> None:
    tagged = world.udp_v4(b"tagged", vlan=vlan)
    twice = tagged[:12] + b"\x88\xa8\x00\x07" + tagged[12:]

    assert b"tagged" not in world.heard(tagged, twice)


@pytest.mark.matrix("other protocols than IP on a private network", "first packet")
def test_other_protocols_are_refused(world: World, bridge_nf: int) -> None:
    frames = [
        packets.ethernet(world.two.port.mac, world.one.port.mac, kind, b"other" * 12) for kind in (0x88CC, 0x8847, 64)
    ]

    assert b"other" not in world.heard(*frames)


@pytest.mark.matrix("forged ARP on a private network", "first packet")
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


@pytest.mark.matrix("forged neighbour discovery on a private network", "first packet")
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
