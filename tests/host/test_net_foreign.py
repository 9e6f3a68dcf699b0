"""Beside other firewalls sandboxes work, or doctor says why not, and its advice mends it; ours keeps holding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from createos_netconfig.foreign import Obstacle, obstacles
from createos_netconfig.nft import Nft

from tests.host.egresslab import ALLOWED_V4, EgressLab, lookup
from tests.host.egresstries import PORT, answering, passes, tries
from tests.host.neighbours import NEIGHBOURS, Neighbour
from tests.host.netlab import UPLINK_V4, Guest
from tests.host.netserver import PROHIBITED, REFUSED, SILENCE, ask

pytestmark = pytest.mark.root


_BRIDGE_NF = Path("/proc/sys/net/bridge")


@pytest.fixture
def world() -> Iterator[EgressLab]:
    with answering() as lab:
        lab.servers.listen("0.0.0.0", PORT)
        # Whether bridged packets are filtered too is a matter of private networks (test_nets_life).
        for switch in _BRIDGE_NF.glob("bridge-nf-call-ip*tables"):
            switch.write_text("0")
        yield lab


def reached(guest: Guest) -> bool:
    with guest.namespace.entered():
        return ask("tcp", ALLOWED_V4, PORT, patience_s=0.3) == UPLINK_V4


def holds(world: EgressLab, guest: Guest) -> None:
    """The guest works, and still reaches nothing of the host."""
    assert passes(guest, ALLOWED_V4)
    assert lookup(guest, "allowed.test") == [ALLOWED_V4]
    assert tries(guest, UPLINK_V4) == (REFUSED, PROHIBITED)


def follow(world: EgressLab, found: list[Obstacle], advice: dict[str, str]) -> None:
    """Run what doctor says."""
    for command in dict.fromkeys(part for obstacle in found for part in obstacle.fix.split(" && ")):
        world.host.run("sh", "-c", advice.get(command, command))


@pytest.mark.parametrize("neighbour", NEIGHBOURS, ids=lambda each: each.name)
def test_the_advice_lets_sandboxes_pass_and_opens_nothing_else(world: EgressLab, neighbour: Neighbour) -> None:
    guest = world.box(1)
    world.host.run(*neighbour.load, stdin=neighbour.rules)
    before = reached(guest)

    found = obstacles(Nft())
    follow(world, found, neighbour.advice)

    assert (before, "forward" in {obstacle.hook for obstacle in found}) == (False, True)
    assert obstacles(Nft()) == []
    holds(world, guest)


def test_rules_that_are_there_first_make_no_difference(world: EgressLab) -> None:
    docker = NEIGHBOURS[0]
    world.host.run(*docker.load, stdin=docker.rules)
    follow(world, obstacles(Nft()), docker.advice)
    world.firewall.remove()
    world.kill()

    world.start()

    holds(world, world.box(1))


def test_a_plain_ruleset_that_denies_incoming_keeps_names_away_until_told(world: EgressLab) -> None:
    guest = world.box(1)
    world.host.run(
        "nft",
        "add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; };"
        "add rule inet filter input ct state established,related accept",
    )
    with guest.namespace.entered():
        silent = ask("udp", "169.254.77.1", 53, patience_s=0.3)

    found = obstacles(Nft())
    follow(world, found, {})

    assert (silent, [obstacle.hook for obstacle in found]) == (SILENCE, ["input"])
    assert obstacles(Nft()) == []
    holds(world, guest)


def test_the_advice_for_nft_is_exact(world: EgressLab) -> None:
    guest = world.box(1)
    world.host.run(
        "nft",
        "add table inet filter; add chain inet filter onward { type filter hook forward priority 0; policy drop; }",
    )
    before = reached(guest)

    found = obstacles(Nft())
    follow(world, found, {})

    assert (before, {obstacle.chain for obstacle in found}) == (False, {"inet filter onward"})
    assert obstacles(Nft()) == []
    holds(world, guest)
