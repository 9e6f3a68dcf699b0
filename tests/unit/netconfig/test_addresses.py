from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from createos_netconfig.addresses import Endpoint, Pool, link_local
from createos_netconfig.errors import NetconfigError
from createos_netconfig.names import Instance

ONE = Instance("a1b2")
V6 = IPv6Network("fd77::/64")


def test_an_endpoint_follows_from_its_slot() -> None:
    endpoint = Pool(IPv4Network("10.77.0.0/16"), V6).endpoint(ONE, 258)

    assert endpoint == Endpoint(
        258, "ca1b2-258", "02:c0:25:1e:01:02", IPv4Address("10.77.1.3"), IPv6Address("fd77::103")
    )


@pytest.mark.parametrize(("v4", "capacity"), [("10.0.0.0/30", 1), ("10.0.0.0/24", 253), ("10.0.0.0/8", 65_000)])
def test_capacity_leaves_out_the_ends_of_the_network(v4: str, capacity: int) -> None:
    pool = Pool(IPv4Network(v4), V6)

    assert pool.capacity == capacity
    assert pool.endpoint(ONE, capacity).ipv4 < IPv4Network(v4).broadcast_address


@pytest.mark.parametrize("slot", [-1, 0, 254])
def test_a_slot_outside_the_network_is_refused_with_the_limit(slot: int) -> None:
    with pytest.raises(NetconfigError, match=r"not within 1\.\.253"):
        Pool(IPv4Network("10.0.0.0/24"), V6).endpoint(ONE, slot)


def test_a_network_without_room_has_no_slots() -> None:
    assert Pool(IPv4Network("10.0.0.0/31"), V6).capacity == 0


def test_the_link_local_address_is_the_one_kernels_choose() -> None:
    assert link_local("02:c0:28:0e:00:01") == IPv6Address("fe80::c0:28ff:fe0e:1")
