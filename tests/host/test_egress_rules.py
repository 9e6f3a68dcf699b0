"""What rules let through and what not, from the first packet on."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from createos_netconfig.reasons import Reason

from tests.host import packets
from tests.host.egresslab import (
    ALLOWED_V4,
    ALLOWED_V6,
    FORBIDDEN_V4,
    FORBIDDEN_V6,
    OTHER_V4,
    SHARED_V4,
    EgressLab,
    lookup,
)
from tests.host.egresstries import OTHER_PORT, PORT, answering, passes, reasons, tries, usual_box
from tests.host.netlab import METADATA, PRIVATE_SERVER_V4, UPLINK_V4, UPLINK_V6, Guest
from tests.host.netserver import PROHIBITED, REFUSED

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def world() -> Iterator[EgressLab]:
    with answering() as lab:
        yield lab


@pytest.fixture(scope="module")
def box(world: EgressLab) -> Guest:
    return usual_box(world)


@pytest.mark.matrix("a host by its address", "first packet", succeeds=True)
def test_a_listed_address_passes(box: Guest) -> None:
    assert passes(box, ALLOWED_V4)
    assert passes(box, ALLOWED_V4, OTHER_PORT)
    assert passes(box, SHARED_V4)


@pytest.mark.matrix("a port that a rule is limited to", "first packet", succeeds=True)
def test_a_port_limited_rule_is_for_its_port(box: Guest) -> None:
    assert passes(box, OTHER_V4)
    assert passes(box, ALLOWED_V6)
    assert tries(box, OTHER_V4, OTHER_PORT) == (REFUSED, PROHIBITED)
    assert tries(box, ALLOWED_V6, OTHER_PORT) == (REFUSED, PROHIBITED)


@pytest.mark.matrix("an address that no rule lists", "first packet")
def test_an_unlisted_address_is_answered_with_a_refusal(world: EgressLab, box: Guest) -> None:
    assert tries(box, FORBIDDEN_V4) == (REFUSED, PROHIBITED)
    assert tries(box, FORBIDDEN_V6) == (REFUSED, PROHIBITED)
    assert {(Reason.UNLISTED, FORBIDDEN_V4, PORT), (Reason.UNLISTED, FORBIDDEN_V6, PORT)} <= reasons(world, box)


@pytest.mark.matrix("DNS to other resolvers (UDP, TCP, TLS, HTTPS)", "first packet")
def test_other_resolvers_are_out_of_reach(box: Guest) -> None:
    for port in (53, 853, 443):
        assert tries(box, FORBIDDEN_V4, port) == (REFUSED, PROHIBITED)


@pytest.mark.matrix("an ICMP tunnel", "first packet")
def test_icmp_goes_where_rules_allow_every_port(world: EgressLab, box: Guest) -> None:
    assert [pings(box, address) for address in (ALLOWED_V4, OTHER_V4, FORBIDDEN_V4)] == [True, False, False]
    assert (Reason.UNLISTED, FORBIDDEN_V4) in {key[:2] for key in reasons(world, box)}


def pings(guest: Guest, address: str) -> bool:
    with guest.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(20)
        body = b"\x08\0\0\0\0\7\0\1tunnel"
        raw.sendto(body[:2] + packets.checksum(body).to_bytes(2) + body[4:], (address, 0))
        try:
            while True:
                answer, peer = raw.recvfrom(2048)
                if answer[20:] and peer[0] == address and answer[20] == 0:
                    return True
                if answer[20] == 3:
                    return False
        except OSError:
            return False


@pytest.mark.matrix("fragments to an address that no rule lists", "first packet")
@pytest.mark.matrix("VLAN tags", "first packet")
@pytest.mark.matrix("IPv6 extension headers", "first packet")
def test_no_trick_of_framing_gets_past_the_rules(world: EgressLab, box: Guest) -> None:
    gateway = re.findall(r"link/ether ([0-9a-f:]+)", world.host.ip(f"link show {box.endpoint.interface}"))[0]
    whole = packets.udp(b"trick of a fragment here", port=PORT)
    options = bytes((packets.UDP, 0, 1, 4, 0, 0, 0, 0))
    datagram = packets.udp_v6(box.v6, FORBIDDEN_V6, b"trick of an extension", port=PORT)
    plain = packets.ipv4(box.v4, FORBIDDEN_V4, packets.UDP, packets.udp(b"trick of a tag", port=PORT))
    frames = [
        packets.in_ipv4(gateway, box.endpoint.mac, plain, vlan=7),
        *(
            packets.in_ipv4(
                gateway,
                box.endpoint.mac,
                packets.ipv4(box.v4, FORBIDDEN_V4, packets.UDP, part, identity=5, fragment=fragment),
            )
            for part, fragment in ((whole[:16], 0x2000), (whole[16:], 2))
        ),
        *(
            packets.in_ipv6(
                gateway, box.endpoint.mac, packets.ipv6(box.v6, FORBIDDEN_V6, following, options + datagram)
            )
            for following in (0, 60)
        ),
    ]
    with box.namespace.entered():
        for frame in frames:
            packets.send(frame)
    assert passes(box, ALLOWED_V4)

    assert [line for line in world.servers.seen if "trick" in line] == []


@pytest.mark.matrix("169.254.169.254", "first packet")
@pytest.mark.matrix("a private network of the host", "first packet")
@pytest.mark.matrix("the host by any of its addresses", "first packet")
def test_a_rule_opens_neither_private_ranges_nor_the_host(world: EgressLab) -> None:
    guest = world.box(9, "0.0.0.0/0", "::/0")
    for address in (METADATA, PRIVATE_SERVER_V4, UPLINK_V4, UPLINK_V6):
        assert tries(guest, address) == (REFUSED, PROHIBITED)
    assert passes(guest, FORBIDDEN_V4)

    found = {(reason, target) for reason, target, _ in reasons(world, guest)}
    assert {
        (Reason.METADATA, METADATA),
        (Reason.PRIVATE, PRIVATE_SERVER_V4),
        (Reason.HOST, UPLINK_V4),
        (Reason.HOST, UPLINK_V6),
    } <= found


@pytest.mark.matrix("a forged source", "first packet")
def test_a_forged_source_is_written_down(world: EgressLab, box: Guest) -> None:
    gateway = re.findall(r"link/ether ([0-9a-f:]+)", world.host.ip(f"link show {box.endpoint.interface}"))[0]
    forged = packets.ipv4("10.77.0.99", ALLOWED_V4, packets.UDP, packets.udp(b"forged", port=PORT))
    with box.namespace.entered():
        packets.send(packets.in_ipv4(gateway, box.endpoint.mac, forged))
    assert passes(box, ALLOWED_V4)

    assert (Reason.SPOOFED, ALLOWED_V4, PORT) in reasons(world, box)
    assert [line for line in world.servers.seen if "forged" in line] == []


def test_a_learned_address_passes_on_other_ports_and_not_before_it_is_learned(world: EgressLab) -> None:
    guest = world.box(2, "one.shared.test", f"www.wild.test:{PORT}")
    assert tries(guest, SHARED_V4) == (REFUSED, PROHIBITED)

    assert lookup(guest, "one.shared.test") == [SHARED_V4]
    assert lookup(guest, "www.wild.test") == [OTHER_V4]

    assert passes(guest, SHARED_V4)
    assert passes(guest, OTHER_V4)
    assert tries(guest, OTHER_V4, OTHER_PORT) == (REFUSED, PROHIBITED)
