"""Frames of a hostile guest, written by hand and only sent: who judges looks at what arrived where it must not.

Standard library only, since this runs in guests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

from tests.host import packets

ALLOWED, ALLOWED_PORT = "203.0.113.20", 8080
LIMITED, SHARED, OTHER = "203.0.113.24", "203.0.113.22", "203.0.113.23"
FORBIDDEN_V4, FORBIDDEN_V6 = "203.0.113.21", "2001:db8:2::21"
GATEWAY_V4, GATEWAY_V6 = "169.254.77.1", "fe80::1"
MARK = b"TRIED:"
"""What every frame carries that must arrive nowhere."""

_SYN, _IPV6_IN_IPV4, _GRE, _SCTP = 2, 41, 47, 132
_HOP_BY_HOP, _FRAGMENT, _DESTINATION = 0, 44, 60

BY_FRAMES = (
    "169.254.169.254",
    "DNS to other resolvers (UDP, TCP, TLS, HTTPS)",
    "IPv4 options",
    "IPv6 extension headers",
    "QUIC to an allowed name",
    "VLAN tags",
    "a forged MAC",
    "a forged source",
    "a private network of the host",
    "an ICMP tunnel",
    "an address that no rule lists",
    "another sandbox",
    "forged ARP and neighbour discovery",
    "fragments to an address that no rule lists",
    "raw IP to an address that no rule lists (GRE, SCTP, IPv6 in IPv4)",
    "the host by any of its addresses",
)


@dataclass(frozen=True)
class Place:
    """Who tries, and who else is there."""

    mac: str
    gateway_mac: str
    v4: str
    v6: str
    hosts: tuple[str, ...]
    """Addresses of the host, of both families."""
    other_mac: str = "02:00:00:00:00:99"
    other_v4: str = "10.77.0.99"
    other_v6: str = "fd77:c05b::99"
    private: tuple[str, ...] = ("192.168.50.10", "10.1.2.3", "fd50::10")

    def as_json(self) -> str:
        """Return it as an argument of this program."""
        return json.dumps(asdict(self))


def send_frames(place: Place) -> None:
    """Send every frame that must arrive nowhere, each with the name of its attempt."""
    for attempt, frame in frames(place):
        assert attempt in BY_FRAMES, attempt
        with suppress(OSError):
            packets.send(frame)


def frames(place: Place) -> Iterator[tuple[str, bytes]]:
    """Return (attempt, frame)."""
    for attempt, addresses in (
        ("169.254.169.254", ("169.254.169.254", "fd00:ec2::254")),
        ("a private network of the host", place.private),
        ("an address that no rule lists", (FORBIDDEN_V4, FORBIDDEN_V6)),
        ("another sandbox", (place.other_v4, place.other_v6)),
        ("the host by any of its addresses", (*place.hosts, GATEWAY_V4, GATEWAY_V6)),
    ):
        for address in addresses:
            yield from _plain(place, attempt, address, 8080)
    for port in (53, 853, 443):
        yield from _plain(place, "DNS to other resolvers (UDP, TCP, TLS, HTTPS)", FORBIDDEN_V4, port)
    yield from _plain(place, "QUIC to an allowed name", SHARED, 443, kinds=("udp",))
    yield from _framing(place)
    yield from _lies(place)


def _plain(
    place: Place, attempt: str, address: str, port: int, *, kinds: tuple[str, ...] = ("udp", "syn", "echo")
) -> Iterator[tuple[str, bytes]]:
    said = MARK + attempt.encode()
    for kind in kinds:
        if ":" in address:
            yield attempt, _to_v6(place, place.v6, address, *_payload_v6(kind, place.v6, address, said, port))
        else:
            yield attempt, _to_v4(place, place.v4, address, *_payload_v4(kind, place.v4, address, said, port))


def _payload_v4(kind: str, source: str, target: str, said: bytes, port: int) -> tuple[int, bytes]:
    if kind == "udp":
        return packets.UDP, packets.udp(said, port=port)
    if kind == "echo":
        return packets.ICMPV4, packets.echo(8, said)
    return packets.TCP, packets.tcp(source, target, said, port=port, flags=_SYN)


def _payload_v6(kind: str, source: str, target: str, said: bytes, port: int) -> tuple[int, bytes]:
    if kind == "udp":
        return packets.UDP, packets.udp_v6(source, target, said, port=port)
    if kind == "echo":
        return packets.ICMPV6, packets.echo_v6(source, target, said)
    return packets.TCP, packets.tcp(source, target, said, port=port, flags=_SYN)


def _to_v4(place: Place, source: str, target: str, protocol: int, payload: bytes, **more: int) -> bytes:
    return packets.in_ipv4(place.gateway_mac, place.mac, packets.ipv4(source, target, protocol, payload, **more))


def _to_v6(place: Place, source: str, target: str, following: int, payload: bytes) -> bytes:
    return packets.in_ipv6(place.gateway_mac, place.mac, packets.ipv6(source, target, following, payload))


def _framing(place: Place) -> Iterator[tuple[str, bytes]]:
    """Return allowed and forbidden destinations in wrappings that might be read past."""
    for attempt, protocol in (("GRE", _GRE), ("SCTP", _SCTP), ("IPv6 in IPv4", _IPV6_IN_IPV4)):
        said = MARK + attempt.encode()
        yield (
            "raw IP to an address that no rule lists (GRE, SCTP, IPv6 in IPv4)",
            _to_v4(place, place.v4, FORBIDDEN_V4, protocol, said + bytes(40)),
        )
    tunnel = "an ICMP tunnel"
    for target in (FORBIDDEN_V4, LIMITED):
        yield tunnel, _to_v4(place, place.v4, target, packets.ICMPV4, packets.echo(8, MARK + tunnel.encode()))
    tag = packets.udp(MARK + b"VLAN", port=ALLOWED_PORT)
    for vlan in (1, 7):
        packet = packets.ipv4(place.v4, ALLOWED, packets.UDP, tag)
        yield "VLAN tags", packets.in_ipv4(place.gateway_mac, place.mac, packet, vlan=vlan)
    whole = packets.udp(MARK + b"of fragments to a forbidden address", port=8080)
    for part, fragment in ((whole[:24], 0x2000), (whole[24:], 3), (whole[:8], 0x2000), (whole[:48], 1)):
        packet = _to_v4(place, place.v4, FORBIDDEN_V4, packets.UDP, part, identity=77, fragment=fragment)
        yield "fragments to an address that no rule lists", packet
    yield "IPv4 options", _to_v4(place, place.v4, ALLOWED, packets.UDP, packets.udp(MARK, port=8080), options=2)
    datagram = packets.udp_v6(place.v6, FORBIDDEN_V6, MARK + b"extension", port=8080)
    for header in (_HOP_BY_HOP, _DESTINATION, packets.ROUTING, _FRAGMENT):
        extension = bytes((packets.UDP, 0, *((4, 0) if header == packets.ROUTING else (0, 0)), 0, 0, 0, 0))
        yield "IPv6 extension headers", _to_v6(place, place.v6, FORBIDDEN_V6, header, extension + datagram)


def _lies(place: Place) -> Iterator[tuple[str, bytes]]:
    """Return what somebody else might have sent."""
    said = packets.udp(MARK + b"a lie", port=ALLOWED_PORT)
    for source in (place.other_v4, *(host for host in place.hosts if ":" not in host), "127.0.0.1", "203.0.113.99"):
        yield "a forged source", _to_v4(place, source, ALLOWED, packets.UDP, said)
    for source in (place.other_v6, *(host for host in place.hosts if ":" in host), "::1", "2001:db8:9::9"):
        datagram = packets.udp_v6(source, FORBIDDEN_V6, MARK + b"a lie", port=ALLOWED_PORT)
        yield "a forged source", _to_v6(place, source, FORBIDDEN_V6, packets.UDP, datagram)
    packet = packets.ipv4(place.v4, ALLOWED, packets.UDP, said)
    yield "a forged MAC", packets.in_ipv4(place.gateway_mac, place.other_mac, packet)
    lie = "forged ARP and neighbour discovery"
    for mac, address in ((place.mac, place.other_v4), (place.other_mac, place.other_v4), (place.mac, "203.0.113.99")):
        yield lie, packets.arp_request(place.mac, address, GATEWAY_V4, claimed_mac=mac)
    for source in (place.other_v6, "fe80::bad"):
        yield lie, packets.in_ipv6(place.gateway_mac, place.mac, packets.solicitation(source, GATEWAY_V6, place.mac))
