"""Frames as a hostile guest would write them, and a socket to send them with."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

BROADCAST = "ff:ff:ff:ff:ff:ff"
_ARP, _IPV4, _IPV6, _VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
TCP, UDP, ICMPV4, ICMPV6, ROUTING = 6, 17, 1, 58, 43


def send(frame: bytes, interface: str = "eth0") -> None:
    """Put a frame on an interface of the namespace this thread is in."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        wire.send(frame)


def hardware(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(target: str, source: str, kind: int, payload: bytes, *, vlan: int | None = None) -> bytes:
    tag = b"" if vlan is None else struct.pack("!HH", _VLAN, vlan)
    return hardware(target) + hardware(source) + tag + struct.pack("!H", kind) + payload


def arp_request(mac: str, ip: str, wanted: str, *, claimed_mac: str = "") -> bytes:
    said = hardware(claimed_mac or mac)
    body = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 1) + said + IPv4Address(ip).packed
    return ethernet(BROADCAST, mac, _ARP, body + bytes(6) + IPv4Address(wanted).packed)


def ipv4(source: str, target: str, protocol: int, payload: bytes, **fields: int) -> bytes:
    """Return an IPv4 packet; fields: `identity`, `fragment` (16 bits of flags and offset), `options` (words)."""
    options = bytes([1] * 4 * fields.get("options", 0))
    words = 5 + len(options) // 4
    head = struct.pack(
        "!BBHHHBBH4s4s",
        *(0x40 | words, 0, 4 * words + len(payload), fields.get("identity", 0), fields.get("fragment", 0)),
        *(64, protocol, 0, IPv4Address(source).packed, IPv4Address(target).packed),
    )
    summed = checksum(head + options)
    return head[:10] + struct.pack("!H", summed) + head[12:] + options + payload


def ipv6(source: str, target: str, following: int, payload: bytes, *, hops: int = 64) -> bytes:
    addresses = IPv6Address(source).packed + IPv6Address(target).packed
    return struct.pack("!IHBB", 6 << 28, len(payload), following, hops) + addresses + payload


def udp(text: bytes, *, source_port: int = 4000, port: int) -> bytes:
    """Return a UDP datagram without checksum, which IPv4 allows."""
    return struct.pack("!HHHH", source_port, port, 8 + len(text), 0) + text


def udp_v6(source: str, target: str, text: bytes, *, port: int, source_port: int = 4000) -> bytes:
    body = struct.pack("!HHHH", source_port, port, 8 + len(text), 0) + text
    return body[:6] + struct.pack("!H", _v6_checksum(source, target, UDP, body)) + body[8:]


def port_unreachable(quoted: bytes) -> bytes:
    body = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def solicitation(source: str, target: str, mac: str) -> bytes:
    """Return a neighbour solicitation to the target itself, with the sender's hardware address."""
    body = struct.pack("!BBHI", 135, 0, 0, 0) + IPv6Address(target).packed + b"\x01\x01" + hardware(mac)
    summed = _v6_checksum(source, target, ICMPV6, body)
    return ipv6(source, target, ICMPV6, body[:2] + struct.pack("!H", summed) + body[4:], hops=255)


def in_ipv4(target_mac: str, mac: str, packet: bytes, *, vlan: int | None = None) -> bytes:
    return ethernet(target_mac, mac, _IPV4, packet, vlan=vlan)


def in_ipv6(target_mac: str, mac: str, packet: bytes) -> bytes:
    return ethernet(target_mac, mac, _IPV6, packet)


def checksum(data: bytes) -> int:
    padded = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _v6_checksum(source: str, target: str, protocol: int, body: bytes) -> int:
    addresses = IPv6Address(source).packed + IPv6Address(target).packed
    return checksum(addresses + struct.pack("!II", len(body), protocol) + body)


def arp_reply(mac: str, said_mac: str, said_ip: str, target_mac: str, target_ip: str) -> bytes:
    body = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 2) + hardware(said_mac) + IPv4Address(said_ip).packed
    return ethernet(target_mac, mac, _ARP, body + hardware(target_mac) + IPv4Address(target_ip).packed)


def discovery(kind: int, source: str, target: str, about: str, option: bytes) -> bytes:
    """Return an ICMPv6 message of neighbour discovery about an address, with an option, if any."""
    body = struct.pack("!BBHI", kind, 0, 0, 0x60000000) + IPv6Address(about).packed + option
    summed = _v6_checksum(source, target, ICMPV6, body)
    return ipv6(source, target, ICMPV6, body[:2] + struct.pack("!H", summed) + body[4:], hops=255)


def link_option(kind: int, mac: str) -> bytes:
    """Return the option that says a link-layer address (RFC 4861 4.6.1): kind 1 of the source, 2 of the target."""
    return bytes((kind, 1)) + hardware(mac)


def echo(kind: int, text: bytes) -> bytes:
    """Return an ICMP message, 8 for an echo request."""
    body = struct.pack("!BBHHH", kind, 0, 0, 7, 1) + text
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def echo_v6(source: str, target: str, text: bytes) -> bytes:
    body = struct.pack("!BBHHH", 128, 0, 0, 7, 1) + text
    return body[:2] + struct.pack("!H", _v6_checksum(source, target, ICMPV6, body)) + body[4:]


def tcp(source: str, target: str, text: bytes, *, port: int, flags: int, source_port: int = 4000) -> bytes:
    """Return a TCP segment with sequence number 1."""
    body = struct.pack("!HHIIBBHHH", source_port, port, 1, 0, 5 << 4, flags, 1024, 0, 0) + text
    if ":" in source:
        summed = _v6_checksum(source, target, TCP, body)
    else:
        addresses = IPv4Address(source).packed + IPv4Address(target).packed
        summed = checksum(addresses + struct.pack("!HH", TCP, len(body)) + body)
    return body[:16] + struct.pack("!H", summed) + body[18:]
