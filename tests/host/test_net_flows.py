"""What conntrack remembers helps nobody: quoted packets, published ports, ports of the host, a port from outside."""

from __future__ import annotations

import re
import socket
from ipaddress import ip_network

import pytest
from createos_netconfig.ruleset import Policy

from tests.host import packets
from tests.host.netlab import LAN_V4, METADATA, PRIVATE_SERVER_V4, SERVER_V4, UPLINK_V4, Lab
from tests.host.netserver import PROHIBITED, REFUSED, SILENCE, ask

pytestmark = pytest.mark.root

PORT = 8080


@pytest.fixture
def net(lab: Lab) -> Lab:
    """Return a world whose internet listens and is known to the host."""
    with lab.internet.entered():
        for address in (SERVER_V4, PRIVATE_SERVER_V4, METADATA):
            lab.servers.listen(address, PORT)
    assert ask("tcp", SERVER_V4, PORT) == UPLINK_V4
    return lab


def allow(lab: Lab, *networks: str) -> None:
    lab.reinstall(Policy(allow_private=tuple(map(ip_network, networks))))


def test_allowed_private_networks_are_reached_and_their_neighbours_are_not(net: Lab) -> None:
    guest = net.guest(1)
    allow(net, "192.168.50.0/24", "192.168.0.0/18")

    with guest.namespace.entered():
        assert ask("tcp", PRIVATE_SERVER_V4, PORT) == LAN_V4
        assert ask("tcp", "10.1.2.3", PORT) == REFUSED


def test_everything_allowed_is_still_neither_metadata_nor_host_nor_sandbox(net: Lab) -> None:
    guest, other = net.guest(1), net.guest(2)
    net.servers.listen("0.0.0.0", PORT)
    allow(net, "0.0.0.0/0")

    with guest.namespace.entered():
        assert {ask("tcp", address, PORT) for address in (METADATA, LAN_V4, other.v4, "169.254.77.1")} == {REFUSED}


def test_a_port_that_the_host_publishes_is_a_port_of_the_host(net: Lab) -> None:
    guest = net.guest(1)
    rule = f"ip daddr {UPLINK_V4} tcp dport 80 dnat to {SERVER_V4}:{PORT}"
    chain = "{ type nat hook prerouting priority -100; }"
    net.host.run("nft", f"add table ip host; add chain ip host pre {chain}; add rule ip host pre {rule}")

    with guest.namespace.entered():
        assert ask("tcp", UPLINK_V4, 80) == REFUSED


def test_an_icmp_error_about_somebody_elses_flow_goes_nowhere(net: Lab) -> None:
    liar, victim = net.guest(1), net.guest(2)
    gateway = re.findall(r"link/ether ([0-9a-f:]+)", net.host.ip(f"link show {liar.endpoint.interface}"))[0]
    with victim.namespace.entered():
        talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with net.internet.entered():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        watch = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with talk, server, watch:
        server.bind((SERVER_V4, 5353))
        server.settimeout(20)
        watch.settimeout(0.5)
        talk.sendto(b"hello", (SERVER_V4, 5353))
        _, peer = server.recvfrom(64)
        server.sendto(b"hello", peer)

        answer = packets.udp(b"hello", source_port=5353, port=talk.getsockname()[1])
        quoted = packets.ipv4(SERVER_V4, victim.v4, packets.UDP, answer)
        for source in (liar.v4, victim.v4):
            error = packets.ipv4(source, SERVER_V4, packets.ICMPV4, packets.port_unreachable(quoted))
            with liar.namespace.entered():
                packets.send(packets.in_ipv4(gateway, liar.endpoint.mac, error))

        with pytest.raises(TimeoutError):
            watch.recv(2048)


def test_a_guests_own_icmp_errors_arrive(net: Lab) -> None:
    guest = net.guest(1)
    with net.internet.entered():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with guest.namespace.entered():
        talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server:
        server.bind((SERVER_V4, 5353))
        server.settimeout(20)
        with talk:
            talk.sendto(b"hello", (SERVER_V4, 5353))
            _, peer = server.recvfrom(64)
        server.connect(peer)
        server.send(b"you are gone")

        with pytest.raises(ConnectionRefusedError):
            server.recv(64)


def test_a_sandbox_cannot_take_a_port_of_the_host(net: Lab) -> None:
    guest = net.guest(1)
    with guest.namespace.entered():
        squatter = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with net.internet.entered():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with squatter, server:
        squatter.bind((guest.v4, 51820))
        server.bind((SERVER_V4, 51820))
        server.settimeout(20)
        squatter.sendto(b"mine", (SERVER_V4, 51820))

        assert server.recvfrom(64)[1][1] >= 61000


def test_a_sandbox_has_no_privileged_source_port(net: Lab) -> None:
    guest = net.guest(1)
    with net.internet.entered():
        server = socket.create_server((SERVER_V4, 2049))
    with guest.namespace.entered():
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with server, client:
        client.bind((guest.v4, 700))
        client.connect((SERVER_V4, 2049))
        connection, peer = server.accept()
        connection.close()

    assert peer[1] >= 1024


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_the_outside_cannot_use_the_port_of_a_flow_it_is_not_part_of(net: Lab, kind: str) -> None:
    guest = net.guest(1)
    with guest.namespace.entered():
        net.servers.listen(guest.v4, PORT)
        assert ask(kind, SERVER_V4, PORT, source=guest.v4) == UPLINK_V4

    with net.internet.entered():
        assert ask(kind, guest.v4, PORT, source=PRIVATE_SERVER_V4, patience_s=0.3) == SILENCE


def test_packets_of_other_interfaces_pass_untouched(net: Lab) -> None:
    neighbour = net.namespace()
    net.host.ip(
        f"link add docker7 type veth peer name eth0 netns {neighbour.path}",
        "addr add 172.17.0.1/24 dev docker7",
        "link set docker7 up",
    )
    neighbour.ip("addr add 172.17.0.2/24 dev eth0", "link set eth0 up", "route add default via 172.17.0.1")
    net.internet.ip(f"route add 172.17.0.0/24 via {UPLINK_V4}")
    net.servers.listen("172.17.0.1", PORT)

    with neighbour.entered():
        assert ask("tcp", SERVER_V4, PORT) == "172.17.0.2"
        assert ask("udp", METADATA, PORT) == "172.17.0.2"
        assert ask("tcp", "172.17.0.1", PORT) == "172.17.0.2"


def test_a_neighbour_on_the_host_cannot_open_to_a_sandbox(net: Lab) -> None:
    guest, neighbour = net.guest(1), net.namespace()
    net.host.ip(
        f"link add docker7 type veth peer name eth0 netns {neighbour.path}",
        "addr add 172.17.0.1/24 dev docker7",
        "link set docker7 up",
    )
    neighbour.ip("addr add 172.17.0.2/24 dev eth0", "link set eth0 up", "route add default via 172.17.0.1")
    with guest.namespace.entered():
        net.servers.listen(guest.v4, PORT)

    with neighbour.entered():
        assert ask("tcp", guest.v4, PORT, patience_s=0.3) == SILENCE
    with guest.namespace.entered():
        assert {ask("tcp", "172.17.0.2", PORT), ask("udp", "172.17.0.2", PORT)} == {REFUSED, PROHIBITED}


def test_broadcasts_and_multicasts_reach_nobody(net: Lab) -> None:
    guest, other = net.guest(1), net.guest(2)
    sockets = []
    for world in (net.host, net.internet, other.namespace):
        with world.entered():
            sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    for listener in sockets:
        listener.bind(("0.0.0.0", 9999))
        listener.settimeout(0.2)
    with guest.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for target in ("255.255.255.255", "198.51.100.255", "192.168.50.255", "224.0.0.1", "224.0.0.251"):
            sender.sendto(b"anybody?", (target, 9999))

    for listener in sockets:
        with listener, pytest.raises(TimeoutError):
            listener.recv(64)


def test_the_hosts_own_announcements_stay_with_the_host(net: Lab) -> None:
    guest = net.guest(1)
    with guest.namespace.entered():
        ears = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD))
        ears.bind(("eth0", 0x86DD))
        ears.settimeout(0.3)
    with ears, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        index = socket.if_nametoindex(guest.endpoint.interface)

        with pytest.raises(PermissionError):
            sender.sendto(b"I am the host", ("ff02::fb", 5353, 0, index))

        with pytest.raises(TimeoutError):
            ears.recv(2048)


def test_who_gets_an_address_next_gets_nothing_of_the_flows_of_the_last(net: Lab) -> None:
    last, bystander = net.guest(1), net.guest(2)
    with net.internet.entered():
        server = socket.create_server((SERVER_V4, 9000))
    clients = []
    for guest in (last, bystander):
        with guest.namespace.entered():
            clients.append(socket.create_connection((SERVER_V4, 9000), timeout=20))
    ends = [server.accept()[0] for _ in clients]
    net.host.ip(f"link del {last.endpoint.interface}")
    net.firewall.expel(last.endpoint)

    following = net.guest(1)
    with following.namespace.entered():
        ears = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        ears.bind(("eth0", 0x0800))
        ears.settimeout(0.4)
    for end in ends:
        end.send(b"a secret")

    assert clients[1].recv(64) == b"a secret"
    with pytest.raises(TimeoutError):
        ears.recv(2048)
    for each in (server, ears, *clients, *ends):
        each.close()
