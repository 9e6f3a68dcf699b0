"""What rules let through and what not, from the first packet, after a change, and while no daemon runs."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from createos_netconfig.egress_base import Doors
from createos_netconfig.firewall import Firewall
from createos_netconfig.nft import Nft
from createos_netconfig.reasons import Reason
from createos_netconfig.rules import parse

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
from tests.host.netlab import METADATA, POOL, PRIVATE_SERVER_V4, UPLINK_V4, UPLINK_V6, Guest
from tests.host.netserver import PROHIBITED, REFUSED, SILENCE, ask

pytestmark = pytest.mark.root

PORT, OTHER_PORT = 8080, 9090
_EVERYWHERE = (ALLOWED_V4, FORBIDDEN_V4, SHARED_V4, OTHER_V4, ALLOWED_V6, FORBIDDEN_V6)


@pytest.fixture(scope="module")
def world() -> Iterator[EgressLab]:
    with ExitStack() as closing:
        lab = EgressLab(closing)
        with lab.internet.entered():
            for address in _EVERYWHERE:
                for port in (PORT, OTHER_PORT, 53, 853, 443):
                    lab.servers.listen(address, port)
        yield lab


@pytest.fixture(scope="module")
def box(world: EgressLab) -> Guest:
    return world.box(
        1, ALLOWED_V4, f"{OTHER_V4}:{PORT}", f"{SHARED_V4}/31:{PORT}", f"[{ALLOWED_V6}]:{PORT}", "allowed.test"
    )


def tries(guest: Guest, address: str, port: int = PORT) -> tuple[str, str]:
    with guest.namespace.entered():
        return ask("tcp", address, port), ask("udp", address, port)


def passes(guest: Guest, address: str, port: int = PORT) -> bool:
    return set(tries(guest, address, port)) == {UPLINK_V6 if ":" in address else UPLINK_V4}


def reasons(world: EgressLab, guest: Guest) -> set[tuple[Reason, str, int]]:
    return {(each.reason, each.target, each.port) for each in world.firewall.refused(guest.endpoint)}


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
        raw.settimeout(1)
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


class Talk:
    """An established connection: the server says a line, the guest says one."""

    def __init__(self, world: EgressLab, guest: Guest, address: str, port: int) -> None:
        with world.internet.entered():
            server = socket.create_server((address, port))
        with guest.namespace.entered():
            self.client = socket.create_connection((address, port), timeout=3)
        self.end = server.accept()[0]
        self.client.settimeout(0.5)
        self.end.settimeout(0.5)
        server.close()

    def pushed(self) -> bool:
        """Tell whether what the server says arrives."""
        try:
            self.end.sendall(b"news")
            return self.client.recv(4) == b"news"
        except OSError:
            return False

    def asked(self) -> str:
        """Tell what becomes of what the guest says."""
        try:
            self.client.sendall(b"what")
            return "heard" if self.end.recv(4) == b"what" else "odd"
        except ConnectionResetError:
            return "reset"
        except OSError as exc:
            return exc.strerror or "silence"

    def ended(self, side: socket.socket) -> bool:
        """Tell whether a side is answered with a reset when it speaks or listens."""
        try:
            for _ in range(3):
                side.sendall(b"x")
                side.recv(1)
        except (ConnectionResetError, BrokenPipeError):
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        self.client.close()
        self.end.close()


@pytest.mark.matrix("an established connection across an unrelated change", "rule change", succeeds=True)
@pytest.mark.parametrize("kept", [ALLOWED_V4, f"{ALLOWED_V4}:7001", "203.0.113.0/27", "*"])
def test_what_stays_allowed_goes_on_whoever_speaks_first(world: EgressLab, kept: str) -> None:
    guest = world.box(3, *([] if kept == "*" else [kept, FORBIDDEN_V4]))
    talk = Talk(world, guest, ALLOWED_V4, 7001)
    for rules in ([kept], [kept, OTHER_V4], []):
        world.change(guest, *rules)
        assert talk.pushed()
        world.change(guest, *rules, "9.9.9.9")
        assert talk.asked() == "heard" or not rules
    talk.close()


@pytest.mark.matrix("a connection to a host whose rule was removed", "rule change")
@pytest.mark.parametrize("before", [[ALLOWED_V4], [f"{ALLOWED_V4}:7002"], []])
def test_what_is_not_allowed_any_more_ends_at_its_next_packet(world: EgressLab, before: list[str]) -> None:
    guest = world.box(4, *before)
    world.change(guest, *before)
    asking, pushing = Talk(world, guest, ALLOWED_V4, 7002), Talk(world, guest, ALLOWED_V4, 7002)

    world.change(guest, OTHER_V4)

    assert not pushing.pushed()
    assert pushing.ended(pushing.end)
    assert asking.ended(asking.client)
    asking.close()
    pushing.close()


@pytest.mark.matrix("an address that no rule lists", "rule change")
def test_a_change_is_in_force_at_once(world: EgressLab) -> None:
    guest = world.box(5)
    assert passes(guest, FORBIDDEN_V4)

    world.change(guest, ALLOWED_V4)
    assert tries(guest, FORBIDDEN_V4) == (REFUSED, PROHIBITED)
    assert passes(guest, ALLOWED_V4)

    world.change(guest)
    assert passes(guest, FORBIDDEN_V4)


def test_learned_addresses_stay_while_their_name_does(world: EgressLab) -> None:
    guest = world.box(6, "one.shared.test", "www.wild.test")
    lookup(guest, "one.shared.test")
    lookup(guest, "www.wild.test")

    world.change(guest, f"*.shared.test:{PORT}", "9.9.9.9")

    assert passes(guest, SHARED_V4)
    assert tries(guest, SHARED_V4, OTHER_PORT) == (REFUSED, PROHIBITED)
    assert tries(guest, OTHER_V4) == (REFUSED, PROHIBITED)


def test_one_sandboxs_rules_are_no_others(world: EgressLab) -> None:
    one, other = world.box(7, "one.shared.test", ALLOWED_V4), world.box(8, "two.shared.test", OTHER_V4)
    lookup(one, "one.shared.test")

    assert passes(one, SHARED_V4)
    assert tries(other, SHARED_V4) == (REFUSED, PROHIBITED)
    assert tries(other, ALLOWED_V4) == (REFUSED, PROHIBITED)
    assert passes(other, OTHER_V4)


def test_a_sandbox_that_comes_back_to_a_slot_has_its_own_rules(world: EgressLab) -> None:
    gone = world.box(20, FORBIDDEN_V4, "one.shared.test")
    lookup(gone, "one.shared.test")

    following = world.box(20, ALLOWED_V4)

    assert passes(following, ALLOWED_V4)
    assert tries(following, FORBIDDEN_V4) == (REFUSED, PROHIBITED)
    assert tries(following, SHARED_V4) == (REFUSED, PROHIBITED)


@pytest.mark.matrix("an address that no rule lists", "daemon down")
@pytest.mark.matrix("a forbidden name", "daemon down")
def test_while_no_daemon_runs_the_kernel_refuses_what_it_did(world: EgressLab) -> None:
    guest = world.box(21, ALLOWED_V4, "one.shared.test")
    lookup(guest, "one.shared.test")
    talk = Talk(world, guest, ALLOWED_V4, 7005)
    world.kill()
    try:
        assert tries(guest, FORBIDDEN_V4) == (REFUSED, PROHIBITED)
        assert passes(guest, ALLOWED_V4)
        assert passes(guest, SHARED_V4)
        assert (talk.pushed(), talk.asked()) == (True, "heard")
        with guest.namespace.entered():
            assert ask("udp", "169.254.77.1", 53) in {REFUSED, PROHIBITED}
    finally:
        world.start()
    talk.close()


@pytest.mark.matrix("whoever listens on the forwarder's port in its place", "daemon down")
def test_who_takes_the_forwarders_port_meanwhile_gets_no_guest(world: EgressLab) -> None:
    guest, port = world.box(22), world.gateway.port
    world.kill()
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as squatter:
                squatter.bind(("0.0.0.0", port))
                if kind == socket.SOCK_STREAM:
                    squatter.listen()
                with guest.namespace.entered():
                    name = "udp" if kind == socket.SOCK_DGRAM else "tcp"
                    assert ask(name, "169.254.77.1", 53) in {REFUSED, PROHIBITED}
                squatter.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    squatter.accept() if kind == socket.SOCK_STREAM else squatter.recv(1)
    finally:
        world.start()


@pytest.mark.matrix("an address that no rule lists", "daemon killed")
@pytest.mark.matrix("an established connection across an unrelated change", "daemon killed", succeeds=True)
def test_a_daemon_that_starts_again_knows_what_the_kernel_knew(world: EgressLab) -> None:
    rules = [ALLOWED_V4, f"one.shared.test:{PORT}"]
    guest = world.box(23, *rules)
    lookup(guest, "one.shared.test")
    talk = Talk(world, guest, ALLOWED_V4, 7006)
    counted = world.firewall.counted()[guest.endpoint.interface]
    world.kill()
    world.start()
    try:
        assert passes(guest, SHARED_V4)
        assert tries(guest, FORBIDDEN_V4) == (REFUSED, PROHIBITED)
        world.firewall.admit(guest.endpoint, parse(rules))

        assert passes(guest, SHARED_V4)
        assert tries(guest, FORBIDDEN_V4) == (REFUSED, PROHIBITED)
        assert (talk.pushed(), talk.asked()) == (True, "heard")
        assert world.firewall.counted()[guest.endpoint.interface] > counted

        world.change(guest, ALLOWED_V4)
        assert tries(guest, SHARED_V4) == (REFUSED, PROHIBITED)
    finally:
        talk.close()


def test_bytes_are_counted_both_ways_and_refused_ones_are_not(world: EgressLab) -> None:
    guest = world.box(24, ALLOWED_V4)
    tries(guest, FORBIDDEN_V4)
    assert world.firewall.counted()[guest.endpoint.interface][0] == 0

    assert passes(guest, ALLOWED_V4)

    out, back = world.firewall.counted()[guest.endpoint.interface]
    assert 100 < out < 2000
    assert 100 < back < 4000


def test_a_quota_ends_what_goes_out_until_it_is_raised(world: EgressLab) -> None:
    guest = world.box(25)
    world.firewall.meter(guest.endpoint, 2000)
    with guest.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        client.connect((ALLOWED_V4, PORT))
        sent = sum(_echoed(client) for _ in range(5))
    assert sent == 2
    assert Reason.QUOTA in {key[0] for key in reasons(world, guest)}

    world.firewall.meter(guest.endpoint, 100_000)
    assert passes(guest, ALLOWED_V4)
    world.firewall.meter(guest.endpoint, 0)
    assert tries(guest, ALLOWED_V4) == (REFUSED, PROHIBITED)
    world.firewall.meter(guest.endpoint, None)
    assert passes(guest, ALLOWED_V4)


def _echoed(client: socket.socket) -> bool:
    try:
        client.send(b"x" * 700)
        return bool(client.recv(64))
    except OSError:
        return False


def test_a_tap_that_nobody_let_out_gets_nothing(world: EgressLab) -> None:
    guest = world.guest(30, admitted=False)

    with guest.namespace.entered():
        assert ask("tcp", ALLOWED_V4, PORT, patience_s=0.3) in {SILENCE, PROHIBITED}
        assert ask("udp", "169.254.77.1", 53, patience_s=0.3) == SILENCE


def test_what_was_let_out_and_taken_back_leaves_no_element(world: EgressLab) -> None:
    before = _elements(world)
    guest = world.box(31, ALLOWED_V4, "10.0.0.0/8:22", "2001:db8::/48:1", "one.shared.test", f"*.wild.test:{PORT}")
    lookup(guest, "one.shared.test")
    lookup(guest, "www.wild.test")
    world.firewall.meter(guest.endpoint, 1000)

    world.firewall.expel(guest.endpoint)

    assert _elements(world) == before


def test_a_table_of_another_version_is_replaced(world: EgressLab) -> None:
    with ExitStack() as closing:
        lab = EgressLab(closing)
        nft = Nft()
        table = lab.instance.egress_table
        nft.apply([{"delete": {"table": {"family": "inet", "name": table}}}])
        lab.host.run("nft", f"add table inet {table}; add set inet {table} open4 {{ type ipv6_addr; }}")

        firewall = Firewall(lab.instance, POOL, lab.policy, nft)
        firewall.install(Doors())
        firewall.admit(POOL.endpoint(lab.instance, 1), parse([ALLOWED_V4]))

        assert "fa4" in lab.host.run("nft", "list", "table", "inet", table)


def _elements(world: EgressLab) -> list[str]:
    listing = Nft().list(f"table inet {world.instance.egress_table}")
    kept = [entry[kind] for entry in listing for kind in ("set", "map", "quota", "counter") if kind in entry]
    return sorted(
        re.sub(r"'expires': \d+", "", f"{entry['name']} {element}")
        for entry in kept
        for element in entry.get("elem", [""])
        if not entry["name"].startswith(("denied", "noted", "asking", "spent", "got"))
    )
