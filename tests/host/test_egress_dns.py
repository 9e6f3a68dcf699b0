"""What guests are told when they ask for names."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message
import dns.query
import pytest
from createos_netconfig.reasons import Reason

from tests.host.egresslab import ALLOWED_V4, ALLOWED_V6, GATEWAY, OTHER_V4, EgressLab, lookup, query
from tests.host.netlab import Guest

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def world() -> Iterator[EgressLab]:
    with ExitStack() as closing:
        yield EgressLab(closing)


@pytest.fixture(scope="module")
def listed(world: EgressLab) -> Guest:
    return world.box(
        1, "allowed.test", "*.wild.test", "alias.test", "rebind.test", "rebind6.test", "half.test", "huge.test"
    )


@pytest.fixture(scope="module")
def free(world: EgressLab) -> Guest:
    return world.box(2)


@pytest.mark.parametrize("tcp", [False, True])
def test_a_listed_name_is_answered(listed: Guest, tcp: bool) -> None:
    assert lookup(listed, "allowed.test", tcp=tcp) == [ALLOWED_V4]
    assert lookup(listed, "ALLOWED.test", "AAAA", tcp=tcp) == [ALLOWED_V6]


@pytest.mark.parametrize("tcp", [False, True])
def test_an_unlisted_name_does_not_exist(listed: Guest, world: EgressLab, tcp: bool) -> None:
    assert lookup(listed, "forbidden.test", tcp=tcp) == ["NXDOMAIN"]
    assert [asked for asked in world.dns.asked if "forbidden" in asked] == []


def test_a_wildcard_lists_what_is_below_it_alone(listed: Guest) -> None:
    assert lookup(listed, "www.wild.test") == [OTHER_V4]
    assert lookup(listed, "wild.test") == ["NXDOMAIN"]
    assert lookup(listed, "notwild.test") == ["NXDOMAIN"]


def test_aliases_are_followed_whatever_they_are_called(listed: Guest) -> None:
    assert lookup(listed, "alias.test") == [ALLOWED_V4]
    assert lookup(listed, "cdn.test") == ["NXDOMAIN"]


def test_answers_that_point_home_are_stripped(listed: Guest, free: Guest) -> None:
    for guest in (listed, free):
        assert lookup(guest, "rebind.test") == ["NOERROR"]
        assert lookup(guest, "rebind6.test", "AAAA") == ["NOERROR"]
    assert lookup(listed, "half.test") == [ALLOWED_V4]


def test_service_records_are_empty(listed: Guest, free: Guest) -> None:
    for guest in (listed, free):
        assert lookup(guest, "allowed.test", "HTTPS") == ["NOERROR"]
        assert lookup(guest, "allowed.test", "SVCB") == ["NOERROR"]


def test_a_sandbox_without_rules_asks_for_anything(free: Guest) -> None:
    assert lookup(free, "forbidden.test") == ["203.0.113.21"]
    assert lookup(free, "allowed.test", "TXT") == ['"hello"']
    assert lookup(free, "nowhere.test") == ["NXDOMAIN"]


def test_an_answer_too_long_for_udp_says_so_and_comes_over_tcp(free: Guest) -> None:
    assert query(free, "huge.test", "TXT").flags & dns.flags.TC
    assert len(lookup(free, "huge.test", "TXT", tcp=True)) == 13
    assert len(lookup(free, "big.test")) == 60


def test_private_names_come_from_the_hook_and_never_from_outside(world: EgressLab, listed: Guest) -> None:
    known = {"db": [ip_address("10.90.0.7")], "db.fc.local": [ip_address("10.90.0.7"), ip_address("fd00::7")]}
    world.names = lambda source, name: known.get(name) if source == listed.endpoint.ipv4 else None
    try:
        assert lookup(listed, "db") == ["10.90.0.7"]
        assert lookup(listed, "DB.fc.local", "AAAA") == ["fd00::7"]
        assert lookup(listed, "web.fc.local") == ["NXDOMAIN"]
    finally:
        world.names = lambda _source, _name: None
    assert [asked for asked in world.dns.asked if "fc.local" in asked] == []


def test_the_gateway_answers_over_ipv6_too(listed: Guest) -> None:
    for tcp in (False, True):
        assert lookup(listed, "allowed.test", at="fe80::1%eth0", tcp=tcp) == [ALLOWED_V4]


def test_a_refused_name_is_written_down(listed: Guest, world: EgressLab) -> None:
    lookup(listed, "secret.forbidden.test")
    lookup(listed, "rebind.test")

    member = world.firewall.member(listed.endpoint.ipv4)
    assert member is not None
    said = {(each.reason, each.target) for each in member.refused()}
    assert {(Reason.NAME, "secret.forbidden.test"), (Reason.REBINDING, "rebind.test")} <= said


def test_a_name_asked_twice_is_asked_once_outside(free: Guest, world: EgressLab) -> None:
    world.dns.records["once.test"] = ["A 203.0.113.77"]
    for _ in range(3):
        assert lookup(free, "once.test") == ["203.0.113.77"]

    assert world.dns.asked.count("once.test A") == 1


def test_noise_gets_no_answer_and_disturbs_nobody(listed: Guest) -> None:
    noise = [
        b"",
        b"x",
        b"\0" * 11,
        b"\xff" * 600,
        bytes(2) + b"\x80\0" + bytes(8),
        b"\0\1\1\0\0\1" + bytes(6) + b"\xc0\x0c\0\1\0\1",
    ]
    with listed.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for wire in noise:
            client.sendto(wire, (GATEWAY, 53))

    assert lookup(listed, "allowed.test") == [ALLOWED_V4]


@pytest.mark.parametrize("kind", ["AXFR", "ANY"])
def test_what_is_no_plain_question_is_refused(listed: Guest, kind: str) -> None:
    question = dns.message.make_query("allowed.test", kind)
    with listed.namespace.entered():
        answer = dns.query.udp(question, GATEWAY, timeout=20)

    assert (answer.rcode(), answer.answer) == (5, [])


def test_a_stranger_gets_no_answer(world: EgressLab, listed: Guest) -> None:
    port = world.gateway.port
    with world.internet.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        for target in (("198.51.100.2", port), ("198.51.100.2", 53)):
            client.sendto(dns.message.make_query("allowed.test", "A").to_wire(), target)
            with pytest.raises((TimeoutError, ConnectionRefusedError)):
                client.recv(512)


def test_a_silent_server_is_said_to_be_one(world: EgressLab, free: Guest) -> None:
    world.dns.silent = True
    try:
        question = dns.message.make_query("slow.test", "A")
        with free.namespace.entered():
            answer = dns.query.udp(question, GATEWAY, timeout=30)
    finally:
        world.dns.silent = False

    assert answer.rcode() == 2


def test_one_who_floods_leaves_the_others_their_answers(world: EgressLab, listed: Guest, free: Guest) -> None:
    with free.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for number in range(3000):
            client.sendto(dns.message.make_query(f"n{number}.test", "A").to_wire(), (GATEWAY, 53))

        assert _asked_as_clients_do(listed, "allowed.test") == [ALLOWED_V4]


def _asked_as_clients_do(guest: Guest, name: str) -> list[str]:
    """Ask again when there is no answer in time: what was asked before is answered first."""
    for _ in range(3):
        with suppress(dns.exception.Timeout):
            return lookup(guest, name)
    return []


def test_connections_that_say_nothing_are_few(world: EgressLab, listed: Guest) -> None:
    with ExitStack() as closing:
        with listed.namespace.entered():
            idle = [closing.enter_context(socket.create_connection((GATEWAY, 53), timeout=20)) for _ in range(12)]
        end = time.monotonic() + 20
        while len(select.select(idle, [], [], 0.1)[0]) < 4 and time.monotonic() < end:
            time.sleep(0.01)
        ends = [_end(each, patience_s=0.2) for each in idle]

    assert (ends.count("open"), ends.count("answered")) == (8, 0)


def _end(client: socket.socket, *, patience_s: float) -> str:
    client.settimeout(patience_s)
    try:
        return "closed" if client.recv(1) == b"" else "answered"
    except TimeoutError:
        return "open"
    except ConnectionResetError:
        return "reset"
