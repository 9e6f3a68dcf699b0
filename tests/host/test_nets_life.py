"""How ports come and go: what is not admitted, not any more, or off its bridge, gets nothing."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest
from createos_netconfig.census import census
from createos_netconfig.errors import NetconfigError
from createos_netconfig.foreign import obstacles
from createos_netconfig.links import Links
from createos_netconfig.nft import Nft

from tests.host.netlab import Lab
from tests.host.netserver import SILENCE, ask
from tests.host.netswitch import HOST_PORT, PORT, SEGMENTS, Member, Switch, World

pytestmark = pytest.mark.root

ADVERTISEMENT, SOLICITATION, ROUTER, REDIRECT = 136, 135, 134, 137
_BRIDGE_NF = Path("/proc/sys/net/bridge")


@pytest.fixture(scope="module")
def world(shared: Lab) -> World:
    return World(shared)


@pytest.mark.matrix("a private network before it is on it", "first packet")
def test_a_port_that_is_not_admitted_gets_nothing(world: World) -> None:
    port = world.switch.member(SEGMENTS.segment(world.switch.instance, 1), 9, admitted=False)

    with port.namespace.entered():
        assert ask("tcp", world.two.v4, PORT, patience_s=0.4) == SILENCE
        assert ask("tcp", world.two.v6, PORT, patience_s=0.4) in {SILENCE, "prohibited"}


@pytest.mark.matrix("a private network that it left", "rule change")
def test_a_port_that_is_expelled_gets_nothing_and_may_come_back(world: World) -> None:
    world.switch.firewall.expel(world.one.port.slot)
    with world.one.namespace.entered():
        silent = ask("tcp", world.two.v4, PORT, patience_s=0.4)
    world.switch.firewall.expel(world.one.port.slot)
    world.switch.firewall.admit(world.one.port)

    assert silent in {SILENCE, "prohibited"}
    with world.one.namespace.entered():
        assert ask("tcp", world.two.v4, PORT) == world.one.v4


def test_a_port_off_its_bridge_is_no_way_into_the_host(world: World) -> None:
    loose = world.switch.member(SEGMENTS.segment(world.switch.instance, 1), 10)
    world.lab.host.ip(
        f"link set {loose.port.interface} nomaster", f"addr add 10.78.0.200/24 dev {loose.port.interface}"
    )

    with loose.namespace.entered():
        assert ask("tcp", "10.78.0.200", HOST_PORT, patience_s=0.4) == SILENCE
        assert ask("udp", "10.78.0.200", HOST_PORT, patience_s=0.4) == SILENCE
    world.lab.host.ip(f"link del {loose.port.interface}")


@pytest.mark.matrix("peers on a private network", "daemon killed", succeeds=True)
def test_a_daemon_that_starts_again_keeps_its_ports(world: World) -> None:
    admitted = world.switch.firewall.ports()

    world.switch.firewall.install([world.one.port, world.two.port, world.stranger.port])

    assert {1, 2, 3} <= admitted
    assert world.switch.firewall.ports() == {1, 2, 3}
    with world.one.namespace.entered():
        assert ask("tcp", world.two.v4, PORT) == world.one.v4


def test_members_of_the_world_hear_nothing_from_taps(world: World) -> None:
    """The routed world and private networks share no path."""
    guest = world.lab.guest(7)

    with guest.namespace.entered():
        assert ask("tcp", world.two.v4, PORT, patience_s=0.5) in {"refused", "prohibited", SILENCE}


def test_bridges_and_ports_come_and_go_and_others_stay(lab: Lab) -> None:
    switch = Switch(lab)
    lab.host.ip("link add c0th3b1 type bridge", "link add c0th3p1 type veth peer name c0th3p2")
    segment = switch.segment(4)
    port = segment.port(switch.instance, 5, 1)
    for _ in range(2):
        switch.firewall.admit(port)
        switch.run(lambda bridges: bridges.add_port(port))

    async def names() -> frozenset[str]:
        async with Links(switch.instance) as links:
            return (await census(switch.instance, links, Nft())).interfaces

    assert switch.run(lambda bridges: bridges.there()) == (frozenset({4}), frozenset({5}))
    assert {"ct3stb4", "ct3stp5"} <= asyncio.run(names())
    assert "master ct3stb4" in lab.host.ip("link show ct3stp5")
    for _ in range(2):
        switch.firewall.expel(port.slot)
        switch.run(lambda bridges: bridges.remove_port("ct3stp5"))
        switch.run(lambda bridges: bridges.remove_bridge("ct3stb4"))
    assert switch.run(lambda bridges: bridges.there()) == (frozenset(), frozenset())
    assert "c0th3b1" in lab.host.ip("link show")


def test_a_member_that_moves_its_mac_is_silent(world: World) -> None:
    """What a guest does to its own card changes nothing of what it may say."""
    member: Member = world.switch.member(SEGMENTS.segment(world.switch.instance, 1), 11)
    member.namespace.ip("link set eth1 address 02:00:00:00:00:55")

    with member.namespace.entered():
        assert ask("tcp", world.two.v4, PORT, patience_s=0.4) == SILENCE


def test_rules_that_somebody_flushed_are_noticed_and_put_back(lab: Lab) -> None:
    switch = Switch(lab)
    port = switch.segment(1).port(switch.instance, 1, 1)
    lab.host.run("nft", "flush", "ruleset")

    assert not switch.firewall.installed()
    switch.firewall.expel(port.slot)
    with pytest.raises(NetconfigError):
        switch.firewall.admit(port)

    switch.firewall.install([port])
    assert switch.firewall.ports() == {1}


def test_a_firewall_that_drops_bridged_packets_is_found_and_its_fix_works(lab: Lab) -> None:
    """What Docker does to a host: forwarding dropped by default, and bridged packets shown to that chain."""
    if not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        pytest.skip("this kernel has no br_netfilter")
    switch = Switch(lab)
    one, two = (switch.member(switch.segment(1), number) for number in (1, 2))
    with two.namespace.entered():
        lab.servers.listen("0.0.0.0", PORT)
    lab.host.sysctl("bridge/bridge-nf-call-iptables", 1)
    lab.host.run(
        "nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"
    )
    with one.namespace.entered():
        dropped = ask("tcp", two.v4, PORT, patience_s=0.4)

    for obstacle in obstacles(Nft()):
        for command in obstacle.fix.split(" && "):
            lab.host.run(*shlex.split(command))

    assert dropped == SILENCE
    with one.namespace.entered():
        assert ask("tcp", two.v4, PORT) == one.v4
    assert obstacles(Nft()) == []
    lab.host.sysctl("bridge/bridge-nf-call-iptables", 0)
