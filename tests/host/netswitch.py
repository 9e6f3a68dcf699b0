"""Private networks for tests: bridges in a lab's host namespace, guests behind their ports."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from createos_netconfig.bridge_firewall import BridgeFirewall
from createos_netconfig.bridges import Bridges
from createos_netconfig.names import Instance
from createos_netconfig.nft import Nft
from createos_netconfig.segments import Port, Segment, SegmentPool

from tests.host import packets
from tests.host.netlab import Lab, Namespace

SEGMENTS = SegmentPool(IPv4Network("10.78.0.0/16"), IPv6Network("fd78:c05b::/48"))
PORT, HOST_PORT = 8080, 9090
_ALL_PROTOCOLS = 3
_LISTEN_S = 20.0


@dataclass(frozen=True)
class Member:
    """A namespace that stands for a guest: its eth1 is the other end of what the host takes for a port."""

    namespace: Namespace
    port: Port

    @property
    def v4(self) -> str:
        return str(self.port.ipv4.ip)

    @property
    def v6(self) -> str:
        return str(self.port.ipv6.ip)

    def send(self, frame: bytes) -> None:
        with self.namespace.entered():
            packets.send(frame, "eth1")

    def ear(self) -> Ear:
        """Return what hears every frame that arrives from now on."""
        with self.namespace.entered():
            return Ear()


class Ear:
    """A raw socket on eth1 of the namespace it is made in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
        self._socket.bind(("eth1", _ALL_PROTOCOLS))
        self._socket.settimeout(_LISTEN_S)

    def hears_until(self, mark: bytes) -> bytes:
        """Return all frames up to the one with *mark*, joined; a true frame that was sent later comes later."""
        heard = b""
        while mark not in heard:
            heard += self._socket.recv(65_536)
        self._socket.close()
        return heard


class Switch:
    """Bridges, ports and their rules in the host of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.instance: Instance = lab.instance
        self.firewall = BridgeFirewall(lab.instance, Nft())
        self.firewall.install([])
        self._slots = 0

    def segment(self, slot: int) -> Segment:
        segment = SEGMENTS.segment(self.instance, slot)
        self.run(lambda bridges: bridges.add_bridge(segment))
        return segment

    def member(self, segment: Segment, number: int, *, admitted: bool = True) -> Member:
        """Return a configured member of a segment."""
        self._slots += 1
        member = Member(self._lab.namespace(), segment.port(self.instance, self._slots, number))
        if admitted:
            self.firewall.admit(member.port)
        name = member.port.interface
        self._lab.host.ip(f"link add {name} type veth peer name eth1 netns {member.namespace.path}")
        self.run(lambda bridges: bridges.add_port(member.port))
        member.namespace.sysctl("ipv6/conf/eth1/accept_dad", 0)
        member.namespace.ip(
            f"link set eth1 address {member.port.mac}",
            f"addr add {member.port.ipv4} dev eth1",
            f"addr add {member.port.ipv6} dev eth1 nodad",
            "link set eth1 up",
        )
        return member

    def run(self, work: Any) -> Any:
        """Run work with the bridges of this instance."""
        return asyncio.run(_with_bridges(self.instance, work))


async def _with_bridges(instance: Instance, work: Any) -> Any:
    async with Bridges(instance) as bridges:
        done: Coroutine[Any, Any, Any] = work(bridges)
        return await done


class World:
    """Two members of one network, a stranger on another."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.switch = Switch(lab)
        self.first, second = self.switch.segment(1), self.switch.segment(2)
        self.one, self.two = self.switch.member(self.first, 1), self.switch.member(self.first, 2)
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
