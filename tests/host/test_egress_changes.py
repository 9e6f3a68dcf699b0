"""What becomes of connections when rules change, and while no daemon runs."""

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

from tests.host.egresslab import (
    ALLOWED_V4,
    FORBIDDEN_V4,
    OTHER_V4,
    SHARED_V4,
    EgressLab,
    lookup,
)
from tests.host.egresstries import OTHER_PORT, PORT, answering, passes, reasons, tries, usual_box
from tests.host.netlab import POOL, Guest
from tests.host.netserver import PROHIBITED, REFUSED, SILENCE, ask
from tests.host.talk import Talk

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def world() -> Iterator[EgressLab]:
    with answering() as lab:
        yield lab


@pytest.fixture(scope="module")
def box(world: EgressLab) -> Guest:
    return usual_box(world)


@pytest.mark.matrix("an established connection across an unrelated change", "rule change", succeeds=True)
@pytest.mark.parametrize("kept", [ALLOWED_V4, f"{ALLOWED_V4}:7001", "203.0.113.0/27", "*"])
def test_what_stays_allowed_goes_on_whoever_speaks_first(world: EgressLab, kept: str) -> None:
    guest = world.box(3, *([] if kept == "*" else [kept, FORBIDDEN_V4]))
    talk = Talk(world, guest, ALLOWED_V4, 7001)
    for rules in ([kept], [kept, OTHER_V4], []):
        world.change(guest, *rules)
        assert talk.pushed()
        world.change(guest, *rules, "9.9.9.9")
        assert not rules or talk.asked() == "heard"
    talk.close()


@pytest.mark.matrix("a connection to a host whose rule was removed", "rule change")
@pytest.mark.parametrize("before", [[ALLOWED_V4], [f"{ALLOWED_V4}:7002"], []])
def test_what_is_not_allowed_any_more_ends_at_its_next_packet(world: EgressLab, before: list[str]) -> None:
    guest = world.box(4, *before)
    world.change(guest, *before)
    asking, pushing = Talk(world, guest, ALLOWED_V4, 7002), Talk(world, guest, ALLOWED_V4, 7002)

    world.change(guest, OTHER_V4)

    assert not pushing.pushed(patience_s=0.5)
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
@pytest.mark.matrix("an established connection across an unrelated change", "daemon down", succeeds=True)
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
        client.settimeout(20)
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
