"""Private networks over a real store, with bridges and ports that exist in sets."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, cast

import pytest
from createos_engine.errors import Conflict, Forbidden, HostFailed, Invalid, NotFound, Unavailable
from createos_engine.network_words import Stage
from createos_engine.services.names import Names, split
from createos_engine.services.networks import MOST_OF_A_SANDBOX, Networks
from createos_engine.words import NewSandbox, Page, State, User

from tests.fakes.rows import NOON
from tests.unit.engine.services.conftest import World

STRANGER = User("usr-9", "stranger", NOON)


async def test_a_network_has_a_bridge_and_is_found_by_name_and_id(world: World) -> None:
    made = await world.networks.create(world.user, "backend")

    assert world.members.bridges == {1}
    assert [await world.networks.get(world.user, ref) for ref in (made.id, "backend")] == [made, made]
    assert await world.networks.list(world.user, Page()) == ([made], 1)
    with pytest.raises(NotFound):
        await world.networks.get(STRANGER, made.id)


async def test_a_name_is_unique_and_the_quota_is_said(world: World) -> None:
    for name in ("a", "b", "c"):
        await world.networks.create(world.user, name)

    with pytest.raises(Invalid, match="already have a network named a"):
        await world.networks.create(world.user, "a")
    with pytest.raises(Forbidden, match="3 networks, which is as many as an account may have"):
        await world.networks.create(world.user, "d")


async def test_a_bridge_that_cannot_be_made_leaves_no_network(world: World) -> None:
    world.members.refuse = {"bridge"}

    with pytest.raises(HostFailed):
        await world.networks.create(world.user, "backend")

    assert await world.networks.list(world.user, Page()) == ([], 0)


async def test_attaching_twice_is_once_and_shows_the_address(world: World) -> None:
    await world.networks.create(world.user, "backend")
    box = await world.running()

    for _ in range(2):
        await world.networks.attach(world.user, box.name, "backend")

    network = await world.networks.get(world.user, "backend")
    assert [(member.name, member.ip) for member in network.members] == [("demo-box", "10.78.0.1")]
    assert network.member_count == 1
    assert world.members.ports == {1}


async def test_only_a_running_sandbox_can_be_attached(world: World) -> None:
    await world.networks.create(world.user, "backend")
    box = await world.running()
    await world.store.move(box.id, State.PAUSING)

    with pytest.raises(Conflict, match="sandbox is pausing"):
        await world.networks.attach(world.user, box.id, "backend")


async def test_a_failed_attach_leaves_nothing(world: World) -> None:
    await world.networks.create(world.user, "backend")
    box = await world.running()
    world.members.refuse = {"plug"}

    with pytest.raises(HostFailed):
        await world.networks.attach(world.user, box.id, "backend")

    assert (world.members.ports, world.memberships.all()) == (set(), [])


async def test_a_detached_sandbox_is_off_and_may_not_be_detached_again(world: World) -> None:
    await world.networks.create(world.user, "backend")
    box = await world.running()
    await world.networks.attach(world.user, box.id, "backend")

    await world.networks.detach(world.user, box.id, "backend")

    assert (world.members.ports, world.memberships.all()) == (set(), [])
    with pytest.raises(NotFound, match="not on network backend"):
        await world.networks.detach(world.user, box.id, "backend")


async def test_a_guest_that_holds_on_to_its_card_is_off_all_the_same_and_asked_again(world: World) -> None:
    network = await world.networks.create(world.user, "backend")
    box = await world.running()
    await world.networks.attach(world.user, box.id, "backend")
    world.members.holds = True

    await world.networks.detach(world.user, box.id, "backend")

    assert (await world.networks.get(world.user, "backend")).members == ()
    assert [row.stage for row in world.memberships.of_network(network.id)] == [Stage.LEAVING]
    world.members.holds = False
    await world.networks.reconcile()
    assert (world.members.ports, world.memberships.all()) == (set(), [])


async def test_a_network_in_use_is_not_deleted(world: World) -> None:
    await world.networks.create(world.user, "backend")
    box = await world.running()
    await world.networks.attach(world.user, box.id, "backend")

    with pytest.raises(Conflict, match="network backend is used by 1 sandbox"):
        await world.networks.delete(world.user, "backend")

    await world.networks.detach(world.user, box.id, "backend")
    await world.networks.delete(world.user, "backend")
    assert world.members.bridges == set()


async def test_a_create_joins_what_it_names_and_its_end_leaves_it(world: World) -> None:
    network = await world.networks.create(world.user, "backend")
    wanted = NewSandbox(shape="s-1vcpu-256mb", name="demo-box", networks=("backend", network.id))

    box = await world.sandboxes.create(world.user, wanted)

    assert [row.sandbox_id for row in world.memberships.all()] == [box.id]
    await world.sandboxes.delete(world.user, box.id)
    await world.background.drain("destroy", 5)
    assert world.memberships.all() == []
    await world.networks.delete(world.user, "backend")


async def test_a_create_that_names_an_unknown_network_makes_no_row(world: World) -> None:
    with pytest.raises(Invalid, match="unknown network: nowhere") as refused:
        await world.sandboxes.create(world.user, NewSandbox(shape="s-1vcpu-256mb", networks=("nowhere",)))

    assert refused.value.field == "networks"
    assert world.store.in_states(frozenset(State)) == []


async def test_reconcile_rolls_back_joins_and_removes_what_nobody_owns(world: World) -> None:
    network = await world.networks.create(world.user, "backend")
    box = await world.running()
    await world.memberships.join(network.id, box.id, stage=Stage.JOINING, most=5, ports=9, numbers=9)
    world.members.ports |= {1, 7}
    world.members.bridges |= {5}

    for _ in range(2):
        await world.networks.reconcile()

    assert (world.members.bridges, world.members.ports, world.memberships.all()) == ({1}, set(), [])


async def test_ports_and_addresses_are_not_given_twice(world: World) -> None:
    networks = [await world.networks.create(world.user, name) for name in ("a", "b")]
    boxes = [await world.running(name) for name in ("one", "two")]
    for box in boxes:
        for network in networks:
            await world.networks.attach(world.user, box.id, network.id)

    rows = world.memberships.all()
    assert sorted(row.slot for row in rows) == [1, 2, 3, 4]
    assert sorted((row.network_slot, row.number) for row in rows) == [(1, 1), (1, 2), (2, 1), (2, 2)]


async def test_a_full_network_and_a_full_sandbox_refuse(world: World) -> None:
    network = await world.networks.create(world.user, "backend")
    one, two = [await world.running(name) for name in ("one", "two")]
    await world.memberships.join(network.id, one.id, stage=Stage.MEMBER, most=5, ports=9, numbers=1)

    with pytest.raises(Conflict, match="no free address"):
        await world.memberships.join(network.id, two.id, stage=Stage.MEMBER, most=5, ports=9, numbers=1)
    with pytest.raises(Conflict, match="0 networks at a time"):
        await world.memberships.join(network.id, two.id, stage=Stage.MEMBER, most=0, ports=9, numbers=9)


async def test_subnets_run_out(world: World) -> None:
    world.members.capacity = 1  # type: ignore[misc]
    await world.networks.create(world.user, "a")

    with pytest.raises(Unavailable, match="all 1 subnets"):
        await world.networks.create(world.user, "b")


def test_more_networks_than_a_machine_has_room_for_are_refused(world: World) -> None:
    class Many(Networks):
        """Knows every network."""

        def __init__(self) -> None:
            self._store = cast("Any", self)

        def find(self, _user: str, ref: str) -> Any:
            return type("Row", (), {"id": ref})()

    with pytest.raises(Invalid, match=f"{MOST_OF_A_SANDBOX} networks"):
        Many().wanted(world.user, [str(number) for number in range(MOST_OF_A_SANDBOX + 1)])


@pytest.fixture
async def names(world: World) -> Names:
    """Return the names of: one and two on `left`, two and three on `right`, four nowhere."""
    slots = {ip_address(f"10.77.0.{slot + 1}"): slot for slot in range(1, 5)}
    network = type("Network", (), {"slot_of": lambda _, address: slots.get(address)})()
    for name in ("left", "right"):
        await world.networks.create(world.user, name)
    boxes = {name: await world.running(name) for name in ("one", "two", "three", "four")}
    for box, on in (("one", "left"), ("two", "left"), ("two", "right"), ("three", "right")):
        await world.networks.attach(world.user, boxes[box].id, on)
    return Names(world.memberships, cast("Any", world.members), cast("Any", network))


def ask(names: Names, source: int, name: str) -> list[str]:
    found = names.addresses(ip_address(f"10.77.0.{source + 1}"), name)
    return [str(address) for address in found or () if address.version == 4]


@pytest.mark.parametrize("name", ["two", "two.fc.local", "two.left.fc.local", "sb-2.fc.local", "sb-2.left.fc.local"])
def test_a_peer_has_four_names(names: Names, name: str) -> None:
    assert ask(names, 1, name) == ["10.78.0.2"]


@pytest.mark.parametrize("name", ["three", "three.fc.local", "three.right.fc.local", "two.right.fc.local", "nobody"])
def test_names_of_other_networks_mean_nothing(names: Names, name: str) -> None:
    assert ask(names, 1, name) == []


def test_a_sandbox_on_two_networks_is_asked_for_by_either(names: Names) -> None:
    assert ask(names, 2, "two") == ["10.78.0.2", "10.78.1.1"]
    assert ask(names, 2, "two.right.fc.local") == ["10.78.1.1"]


@pytest.mark.parametrize("source", [4, 200])
def test_who_is_on_no_network_knows_no_name(names: Names, source: int) -> None:
    assert ask(names, source, "one.fc.local") == []


def test_both_families_are_answered(names: Names) -> None:
    found = names.addresses(ip_address("10.77.0.2"), "two")

    assert found is not None
    assert [address.version for address in found] == [4, 6]


@pytest.mark.parametrize(
    "name", ["", "fc.local", "a.b.c.fc.local", ".fc.local", "a..fc.local", "example.org", "xfc.local"]
)
def test_what_cannot_be_a_name_is_none(name: str) -> None:
    assert split(name) is None
