"""Somebody else empties the ruleset of the host: from that instant nothing passes, and then everything is back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from createos_netconfig.watch import TableWatch

from tests.host import packets
from tests.host.egresslab import ALLOWED_V4, FORBIDDEN_V4, SHARED_V4, EgressLab, lookup
from tests.host.egresstries import PORT, answering, passes, tries
from tests.host.netlab import POOL, PRIVATE_SERVER_V4, UPLINK_V4, Guest, Lab
from tests.host.netserver import PROHIBITED, REFUSED, SILENCE, ask
from tests.host.netswitch import HOST_PORT, World
from tests.host.netswitch import PORT as PEER_PORT
from tests.host.talk import Talk

pytestmark = pytest.mark.root

SHORT_S = 0.3


@pytest.fixture
def world() -> Iterator[EgressLab]:
    with answering() as lab:
        lab.servers.listen("0.0.0.0", HOST_PORT)
        yield lab


def flush(lab: Lab) -> None:
    lab.host.run("nft", "flush", "ruleset")


def restore(lab: EgressLab) -> None:
    lab.firewall.restore(lab.call(lab.gateway.open()), lambda _slot: None)


def heard(world: EgressLab, guest: Guest) -> list[str]:
    """Return what comes of everything a guest could try now, and what the host's neighbours learn of it."""
    with guest.namespace.entered():
        tried = [
            ask(kind, address, port, patience_s=SHORT_S)
            for address, port in (
                (ALLOWED_V4, PORT),
                (FORBIDDEN_V4, PORT),
                (UPLINK_V4, HOST_PORT),
                (PRIVATE_SERVER_V4, PORT),
            )
            for kind in ("tcp", "udp")
        ]
        packets.send(packets.arp_request(guest.endpoint.mac, "10.77.9.9", "169.254.77.1"))
    return [*tried, *(line for line in world.servers.seen if "who am I?" in line or "connected" in line)]


@pytest.mark.matrix("anything, after `nft flush ruleset` by somebody else", "daemon down")
def test_an_empty_ruleset_closes_every_link_at_once(world: EgressLab) -> None:
    guest = world.box(1)
    assert passes(guest, ALLOWED_V4)
    world.servers.seen.clear()

    flush(world)

    assert set(heard(world, guest)) <= {SILENCE, PROHIBITED}
    assert "10.77.9.9" not in world.host.ip(f"neigh show dev {guest.endpoint.interface}")


@pytest.mark.matrix("an address that no rule lists, once the rules are back", "rule change")
def test_rules_connections_and_what_was_learned_come_back(world: EgressLab) -> None:
    listed, free = world.box(1, ALLOWED_V4, "one.shared.test"), world.box(2)
    lookup(listed, "one.shared.test")
    talk = Talk(world, listed, ALLOWED_V4, 7001)
    flush(world)
    gone = world.firewall.installed()

    restore(world)

    assert (gone, world.firewall.installed()) == (False, True)
    assert (talk.pushed(), talk.asked()) == (True, "heard")
    talk.close()
    assert passes(listed, ALLOWED_V4)
    assert passes(listed, SHARED_V4)
    assert passes(free, FORBIDDEN_V4)
    assert tries(listed, FORBIDDEN_V4) == (REFUSED, PROHIBITED)
    world.change(listed, FORBIDDEN_V4)
    assert tries(listed, ALLOWED_V4) == (REFUSED, PROHIBITED)


def test_a_quota_comes_back_with_what_is_left_of_it(world: EgressLab) -> None:
    guest = world.box(1)
    world.firewall.meter(guest.endpoint, 100_000)
    flush(world)

    world.firewall.restore(world.call(world.gateway.open()), lambda _slot: 0)

    assert tries(guest, ALLOWED_V4) == (REFUSED, PROHIBITED)
    world.firewall.meter(guest.endpoint, None)
    assert passes(guest, ALLOWED_V4)


def test_who_ends_meanwhile_does_not_come_back(world: EgressLab) -> None:
    guest = world.box(1)
    flush(world)

    world.firewall.expel(guest.endpoint)
    restore(world)

    assert world.firewall.members() == frozenset()
    with guest.namespace.entered():
        assert ask("tcp", ALLOWED_V4, PORT, patience_s=SHORT_S) in {SILENCE, PROHIBITED}


@pytest.mark.matrix("peers and the host over a private network, after `nft flush ruleset`", "daemon down")
def test_an_empty_ruleset_closes_private_networks_at_once(lab: Lab) -> None:
    world = World(lab)
    mac = lab.host.ip("link show ct3stb1").split("link/ether ")[1].split()[0]
    packet = packets.ipv4(world.one.v4, UPLINK_V4, packets.UDP, packets.udp(b"to the host", port=HOST_PORT))
    flush(lab)

    world.one.send(packets.in_ipv4(mac, world.one.port.mac, packet))
    world.one.send(packets.in_ipv4(packets.BROADCAST, world.one.port.mac, packet))
    with world.one.namespace.entered():
        assert ask("tcp", world.two.v4, PEER_PORT, patience_s=SHORT_S) == SILENCE
    assert [line for line in lab.servers.seen if "to the host" in line] == []

    world.switch.firewall.install([world.one.port, world.two.port])
    with world.one.namespace.entered():
        assert ask("tcp", world.two.v4, PEER_PORT) == world.one.v4


def test_a_deleted_table_is_heard_of_at_once_and_a_change_of_rules_is_not(lab: Lab) -> None:
    async def work() -> tuple[bool, bool]:
        gone = asyncio.Event()
        with TableWatch(lab.instance, gone.set):
            lab.firewall.admit(POOL.endpoint(lab.instance, 1))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            before = gone.is_set()
            await asyncio.to_thread(flush, lab)
            await asyncio.wait_for(gone.wait(), 60)
        return before, gone.is_set()

    assert asyncio.run(work()) == (False, True)
