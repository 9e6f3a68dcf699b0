"""A guest that writes its own frames gets nothing by lying."""

from __future__ import annotations

import re

import pytest
from createos_netconfig.addresses import link_local

from tests.host import packets
from tests.host.netlab import SERVER_V4, SERVER_V6, UPLINK_V4, UPLINK_V6, Guest, Lab
from tests.host.netserver import ask

pytestmark = pytest.mark.root

PORT = 8080


class Liar:
    """A guest whose frames are written by hand; `arrived` says what the internet saw of them."""

    def __init__(self, lab: Lab, guest: Guest, other: Guest) -> None:
        self.lab, self.guest, self.other = lab, guest, other
        self.mac = guest.endpoint.mac
        self.gateway = re.findall(r"link/ether ([0-9a-f:]+)", lab.host.ip(f"link show {guest.endpoint.interface}"))[0]

    def send(self, frame: bytes) -> None:
        with self.guest.namespace.entered():
            packets.send(frame)

    def send_v4(self, packet: bytes, *, mac: str = "", vlan: int | None = None) -> None:
        self.send(packets.in_ipv4(self.gateway, mac or self.mac, packet, vlan=vlan))

    def send_v6(self, packet: bytes, *, mac: str = "") -> None:
        self.send(packets.in_ipv6(self.gateway, mac or self.mac, packet))

    def arrived(self, text: str) -> list[str]:
        """Return who sent the text, after a true datagram that was sent later has come in."""
        with self.guest.namespace.entered():
            assert ask("udp", SERVER_V4, PORT) == UPLINK_V4
            assert ask("udp", SERVER_V6, PORT) == UPLINK_V6
        return [line.split()[0] for line in self.lab.servers.seen if text in line]

    def neighbours(self) -> str:
        return self.lab.host.ip(f"neigh show dev {self.guest.endpoint.interface}")


@pytest.fixture(scope="module")
def liar(shared: Lab) -> Liar:
    with shared.internet.entered():
        for address in (SERVER_V4, SERVER_V6):
            shared.servers.listen(address, PORT)
    guests = shared.guest(1), shared.guest(2)
    with guests[0].namespace.entered():
        # A tcp client tries again while the routers find each other; a datagram is sent once.
        assert (ask("tcp", SERVER_V4, PORT), ask("tcp", SERVER_V6, PORT)) == (UPLINK_V4, UPLINK_V6)
    return Liar(shared, *guests)


def test_the_truth_arrives(liar: Liar) -> None:
    liar.send_v4(packets.ipv4(liar.guest.v4, SERVER_V4, packets.UDP, packets.udp(b"true4", port=PORT)))
    datagram = packets.udp_v6(liar.guest.v6, SERVER_V6, b"true6", port=PORT)
    liar.send_v6(packets.ipv6(liar.guest.v6, SERVER_V6, packets.UDP, datagram))

    assert liar.arrived("true4") == [UPLINK_V4]
    assert liar.arrived("true6") == [UPLINK_V6]


@pytest.mark.parametrize("source", ["10.77.0.3", "10.77.200.1", UPLINK_V4, "127.0.0.1", "0.0.0.0", "203.0.113.99"])
def test_a_false_ipv4_source_is_dropped(liar: Liar, source: str) -> None:
    liar.send_v4(packets.ipv4(source, SERVER_V4, packets.UDP, packets.udp(b"false4", port=PORT)))

    assert liar.arrived("false4") == []


@pytest.mark.parametrize("source", ["fd77:c05b::3", "2001:db8:1::2", "::1", "::", "::ffff:10.77.0.2", "2001:db8:5::5"])
def test_a_false_ipv6_source_is_dropped(liar: Liar, source: str) -> None:
    datagram = packets.udp_v6(source, SERVER_V6, b"false6", port=PORT)
    liar.send_v6(packets.ipv6(source, SERVER_V6, packets.UDP, datagram))

    assert liar.arrived("false6") == []


def test_a_false_mac_is_dropped(liar: Liar) -> None:
    packet = packets.ipv4(liar.guest.v4, SERVER_V4, packets.UDP, packets.udp(b"false-mac", port=PORT))
    liar.send_v4(packet, mac=liar.other.endpoint.mac)

    assert liar.arrived("false-mac") == []


def test_another_guests_mac_and_address_are_dropped(liar: Liar) -> None:
    packet = packets.ipv4(liar.other.v4, SERVER_V4, packets.UDP, packets.udp(b"false-both", port=PORT))
    liar.send_v4(packet, mac=liar.other.endpoint.mac)

    assert liar.arrived("false-both") == []


def test_vlan_tags_lead_nowhere(liar: Liar) -> None:
    packet = packets.ipv4(liar.guest.v4, SERVER_V4, packets.UDP, packets.udp(b"tagged", port=PORT))
    lie = packets.ipv4(liar.other.v4, SERVER_V4, packets.UDP, packets.udp(b"tagged-lie", port=PORT))
    liar.send_v4(packet, vlan=5)
    liar.send_v4(lie, vlan=0)

    assert liar.arrived("tagged") == []


def test_ipv4_options_are_dropped(liar: Liar) -> None:
    liar.send_v4(packets.ipv4(liar.guest.v4, SERVER_V4, packets.UDP, packets.udp(b"options", port=PORT), options=1))

    assert liar.arrived("options") == []


def test_an_ipv6_routing_header_is_dropped(liar: Liar) -> None:
    datagram = packets.udp_v6(liar.guest.v6, SERVER_V6, b"routing", port=PORT)
    header = bytes((packets.UDP, 0, 4, 0, 0, 0, 0, 0))
    liar.send_v6(packets.ipv6(liar.guest.v6, SERVER_V6, packets.ROUTING, header + datagram))

    assert liar.arrived("routing") == []


def fragments(source: str, text: bytes, identity: int) -> tuple[bytes, bytes]:
    """Return a datagram in two halves, the first of 24 bytes."""
    whole = packets.udp(text, port=PORT)
    first = packets.ipv4(source, SERVER_V4, packets.UDP, whole[:24], identity=identity, fragment=0x2000)
    return first, packets.ipv4(source, SERVER_V4, packets.UDP, whole[24:], identity=identity, fragment=24 // 8)


def test_fragments_of_a_true_source_arrive(liar: Liar) -> None:
    for packet in fragments(liar.guest.v4, b"begin genuine--- and end", identity=8):
        liar.send_v4(packet)

    assert liar.arrived("and end") == [UPLINK_V4]


def test_a_fragment_with_a_false_source_gets_into_nobodys_packet(liar: Liar) -> None:
    victim = Liar(liar.lab, liar.other, liar.guest)
    first, last = fragments(victim.guest.v4, b"begin genuine--- and goal", identity=7)
    _, evil = fragments(victim.guest.v4, b"begin genuine--- and EVIL", identity=7)

    liar.send_v4(evil)
    victim.send_v4(first)
    victim.send_v4(last)

    assert liar.arrived("EVIL") == []
    assert liar.arrived("and goal") == [UPLINK_V4]


def test_arp_lies_are_not_believed(liar: Liar) -> None:
    for frame in (
        packets.arp_request(liar.mac, liar.other.v4, "169.254.77.1"),
        packets.arp_request(liar.mac, UPLINK_V4, "169.254.77.1"),
        packets.arp_request(liar.mac, "10.77.9.9", "169.254.77.1", claimed_mac=liar.other.endpoint.mac),
    ):
        liar.send(frame)
    liar.arrived("")

    told = {line.split()[0] for line in liar.neighbours().splitlines()}
    assert told <= {liar.guest.v4, liar.guest.v6, str(link_local(liar.mac))}


def test_a_false_neighbour_solicitation_is_not_believed(liar: Liar) -> None:
    for source in ("fe80::bad", liar.other.v6, str(link_local(liar.other.endpoint.mac))):
        liar.send_v6(packets.solicitation(source, "fe80::1", liar.mac))
    liar.arrived("")

    told = {line.split()[0] for line in liar.neighbours().splitlines()}
    assert told <= {liar.guest.v4, liar.guest.v6, str(link_local(liar.mac))}


def test_a_true_neighbour_solicitation_is_heard(liar: Liar) -> None:
    liar.send_v6(packets.solicitation(str(link_local(liar.mac)), "fe80::1", liar.mac))
    liar.arrived("")

    assert str(link_local(liar.mac)) in liar.neighbours()
