"""Slots become names and addresses that nobody else has."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network

from createos_netconfig.addresses import Endpoint, Pool, link_local
from createos_netconfig.names import LONGEST_INTERFACE, Instance
from hypothesis import given
from hypothesis import strategies as st

IDS = st.from_regex(r"[a-z0-9]{4}", fullmatch=True)
INSTANCES = IDS.map(Instance)


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Draw two networks with room for at least five slots."""
    v4_bits, v6_bits = draw(st.integers(8, 29)), draw(st.integers(16, 125))
    v4 = draw(st.integers(0, 2**v4_bits - 1)) << (32 - v4_bits)
    v6 = draw(st.integers(0, 2**v6_bits - 1)) << (128 - v6_bits)
    return Pool(IPv4Network((v4, v4_bits)), IPv6Network((v6, v6_bits)))


@st.composite
def endpoints(draw: st.DrawFn) -> tuple[Instance, Pool, Endpoint]:
    instance, pool = draw(INSTANCES), draw(pools())
    return instance, pool, pool.endpoint(instance, draw(st.integers(1, pool.capacity)))


@given(endpoints())
def test_an_endpoint_is_inside_its_pool_and_fits_the_kernel(drawn: tuple[Instance, Pool, Endpoint]) -> None:
    _, pool, endpoint = drawn

    assert len(endpoint.interface) <= LONGEST_INTERFACE
    assert endpoint.ipv4 in pool.v4
    assert endpoint.ipv6 in pool.v6
    assert endpoint.ipv4 not in (pool.v4.network_address, pool.v4[1], pool.v4.broadcast_address)


@given(endpoints())
def test_a_mac_is_unicast_and_locally_administered(drawn: tuple[Instance, Pool, Endpoint]) -> None:
    mac = drawn[2].mac

    assert re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", mac)
    assert int(mac[:2], 16) & 0b11 == 0b10
    assert link_local(mac).is_link_local


@given(endpoints())
def test_the_interface_leads_back_to_the_slot(drawn: tuple[Instance, Pool, Endpoint]) -> None:
    instance, _, endpoint = drawn

    assert instance.owns(endpoint.interface)
    assert instance.slot(endpoint.interface) == endpoint.slot


@given(INSTANCES, pools(), st.data())
def test_two_slots_share_nothing(instance: Instance, pool: Pool, data: st.DataObject) -> None:
    one, other = data.draw(st.lists(st.integers(1, pool.capacity), min_size=2, max_size=2, unique=True))

    first, second = pool.endpoint(instance, one), pool.endpoint(instance, other)

    shared = {first.interface, first.mac, first.ipv4, first.ipv6} & {
        second.interface,
        second.mac,
        second.ipv4,
        second.ipv6,
    }
    assert shared == set()


@given(INSTANCES, INSTANCES, st.integers(1, 65_000))
def test_one_engine_never_owns_what_another_made(one: Instance, other: Instance, slot: int) -> None:
    assert one.owns(other.interface(slot)) == (one == other)
