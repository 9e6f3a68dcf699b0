from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_interface

import pytest
from createos_netconfig.errors import NetconfigError
from createos_netconfig.names import LONGEST_INTERFACE, Instance
from createos_netconfig.segments import MOST_PORTS, SegmentPool

ONE = Instance("a1b2")
POOL = SegmentPool(IPv4Network("10.78.0.0/16"), IPv6Network("fd78:c05b::/48"))


def test_segments_do_not_overlap_and_fill_the_pool() -> None:
    first, last = POOL.segment(ONE, 1), POOL.segment(ONE, POOL.capacity)

    assert POOL.capacity == 256
    assert (str(first.v4), str(first.v6)) == ("10.78.0.0/24", "fd78:c05b::/64")
    assert (str(last.v4), str(last.v6)) == ("10.78.255.0/24", "fd78:c05b:0:ff::/64")


def test_a_port_has_the_addresses_of_its_member_and_a_mac_of_its_own() -> None:
    port = POOL.segment(ONE, 2).port(ONE, 7, 254)

    assert (port.interface, port.bridge) == ("ca1b2p7", "ca1b2b2")
    assert port.ipv4 == ip_interface("10.78.1.254/24")
    assert port.ipv6 == ip_interface("fd78:c05b:0:1::fe/64")
    assert port.mac.startswith("02:c1:")


@pytest.mark.parametrize("member", [0, 255])
def test_a_member_beyond_the_subnet_is_refused(member: int) -> None:
    with pytest.raises(NetconfigError, match="not within"):
        POOL.segment(ONE, 1).port(ONE, 1, member)


@pytest.mark.parametrize("slot", [0, 257])
def test_a_segment_beyond_the_pool_is_refused(slot: int) -> None:
    with pytest.raises(NetconfigError, match="not within"):
        POOL.segment(ONE, slot)


def test_a_network_that_is_too_small_has_no_segment() -> None:
    assert SegmentPool(IPv4Network("10.78.0.0/25"), IPv6Network("fd78::/48")).capacity == 0


def test_names_fit_and_are_told_apart() -> None:
    names = ONE.interface(1), ONE.bridge(1), ONE.port(MOST_PORTS)

    assert max(map(len, names)) <= LONGEST_INTERFACE
    assert [ONE.owns(name) for name in names] == [True, False, False]
    assert [ONE.bridge_slot(name) for name in names] == [None, 1, None]
    assert [ONE.port_slot(name) for name in names] == [None, None, MOST_PORTS]
    assert [ONE.tags(name) for name in (*names, "cb000b1", "ca1b2x1", "ca1b2p01")] == [True] * 3 + [False] * 3
