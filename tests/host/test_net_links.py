"""Taps of the real kind, and what the kernel is told about them."""

from __future__ import annotations

import asyncio
import os
import re
import select
import socket
import time
from pathlib import Path

import pytest
from createos_netconfig.addresses import Endpoint
from createos_netconfig.census import Census, census
from createos_netconfig.errors import NetconfigError
from createos_netconfig.links import Links
from createos_netconfig.names import Instance
from createos_netconfig.nft import Nft
from createos_netconfig.tap import open_tap

from tests.host import packets
from tests.host.netlab import POOL, Lab, Namespace

pytestmark = pytest.mark.root

ONE, OTHER = Instance("t3st"), Instance("0th3")
_VIRTIO_HEADER_BYTES = 10


def names(lab: Lab) -> set[str]:
    return set(re.findall(r"^\d+: ([^:@]+)", lab.host.ip("link show"), re.MULTILINE))


def test_two_users_of_links_in_one_loop_do_not_disturb_each_other(lab: Lab) -> None:
    async def work() -> tuple[frozenset[str], frozenset[str]]:
        async with Links(ONE) as one, Links(OTHER) as other:
            mine = [one.add_tap(POOL.endpoint(ONE, slot)) for slot in range(1, 11)]
            theirs = [other.add_tap(POOL.endpoint(OTHER, slot)) for slot in range(11, 21)]
            await asyncio.gather(*mine, *theirs)
            return await one.taps(), await other.taps()

    assert asyncio.run(work()) == (
        {f"ct3st-{slot}" for slot in range(1, 11)},
        {f"c0th3-{slot}" for slot in range(11, 21)},
    )


def test_a_tap_is_made_once_and_removed_once(lab: Lab) -> None:
    before, endpoint = names(lab), POOL.endpoint(ONE, 1)

    async def work() -> None:
        async with Links(ONE) as links:
            for _ in range(2):
                await links.add_tap(endpoint)
            for _ in range(2):
                await links.remove_tap(endpoint.interface)

    asyncio.run(work())

    assert names(lab) == before


def test_a_tap_has_the_gateway_and_the_route_to_its_guest_and_nothing_else(lab: Lab) -> None:
    endpoint = POOL.endpoint(ONE, 1)
    lab.add_tap(ONE, endpoint)

    addresses = re.findall(r"inet6? (\S+) scope (\S+)", lab.host.ip(f"addr show dev {endpoint.interface}"))
    assert addresses == [("169.254.77.1/32", "link"), ("fe80::1/64", "link")]
    routes = lab.host.ip(f"route show dev {endpoint.interface}").splitlines()
    assert [line.split()[0] for line in routes] == ["10.77.0.2"]
    assert "scope link" in routes[0]


def test_links_of_others_are_never_removed(lab: Lab) -> None:
    for name in ("up0", "c0th3-1", "ct3st-x", "ct3st-"):
        with pytest.raises(NetconfigError, match="no interface of instance"):
            asyncio.run(_remove(name))


async def _remove(name: str) -> None:
    async with Links(ONE) as links:
        await links.remove_tap(name)


def test_a_name_that_is_taken_by_a_tun_is_refused_with_the_reason(lab: Lab) -> None:
    lab.host.ip("tuntap add dev c0th3-1 mode tun")

    with pytest.raises(NetconfigError, match="c0th3-1"):
        os.close(open_tap("c0th3-1"))


def test_frames_of_a_real_tap_are_judged(lab: Lab) -> None:
    endpoint = POOL.endpoint(ONE, 1)
    lab.firewall.admit(endpoint)
    lab.add_tap(ONE, endpoint)
    lab.firewall.hear(endpoint)
    guest = open_tap(endpoint.interface)
    try:
        assert _arp_answers(guest, endpoint) == {endpoint.ipv4.packed}
    finally:
        os.close(guest)


def _arp_answers(guest: int, endpoint: Endpoint) -> set[bytes]:
    """Return whom the host answers when a false and a true address ask for the gateway's MAC, until it does."""
    answers: set[bytes] = set()
    end = time.monotonic() + 60
    while not answers and time.monotonic() < end:
        for source in ("10.77.0.3", str(endpoint.ipv4)):
            frame = packets.arp_request(endpoint.mac, source, "169.254.77.1")
            os.write(guest, bytes(_VIRTIO_HEADER_BYTES) + frame)
        while select.select([guest], [], [], 0.1)[0]:
            answered = os.read(guest, 2048)[_VIRTIO_HEADER_BYTES:]
            if answered[12:14] == b"\x08\x06" and answered[20:22] == b"\x00\x02":
                answers.add(answered[38:42])
    return answers


def test_a_tap_outlives_the_machine_that_used_it(lab: Lab) -> None:
    endpoint = POOL.endpoint(ONE, 1)
    lab.add_tap(ONE, endpoint)

    os.close(open_tap(endpoint.interface))

    assert endpoint.interface in names(lab)


def test_a_kernel_without_ipv6_gives_taps_without_it(lab: Lab) -> None:
    lab.host.sysctl("ipv6/conf/default/disable_ipv6", 1)

    lab.add_tap(ONE, POOL.endpoint(ONE, 1))

    assert "inet6" not in lab.host.ip("addr show dev ct3st-1")
    assert "169.254.77.1" in lab.host.ip("addr show dev ct3st-1")


def test_forwarding_keeps_the_default_route_that_a_router_announced(lab: Lab) -> None:
    world = Namespace()
    world.ip("link add up0 type veth peer name up1", "link set up0 up", "link set up1 up")
    world.sysctl("ipv6/conf/up1/accept_ra", 0)

    with world.entered():
        Links(ONE).enable_forwarding()
        settings = {
            name: Path(f"/proc/sys/net/ipv6/conf/{name}/accept_ra").read_text().strip() for name in ("up0", "up1")
        }
        forwarding = [
            Path("/proc/sys/net", name).read_text().strip() for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding")
        ]

    world.close()
    assert settings == {"up0": "2", "up1": "0"}
    assert forwarding == ["1", "1"]


def test_a_tap_heeds_no_redirect_and_answers_for_no_other_address(lab: Lab) -> None:
    lab.add_tap(ONE, POOL.endpoint(ONE, 1))

    def told(name: str) -> str:
        return Path("/proc/sys/net", name).read_text().strip()

    assert told("ipv4/conf/ct3st-1/arp_ignore") == "1"
    assert told("ipv4/conf/ct3st-1/accept_source_route") == "0"
    assert told("ipv6/conf/ct3st-1/accept_redirects") == "0"
    assert told("ipv6/conf/ct3st-1/accept_ra") == "0"


def test_the_census_counts_what_carries_the_tag(lab: Lab) -> None:
    lab.add_tap(ONE, POOL.endpoint(ONE, 1))
    lab.add_tap(OTHER, POOL.endpoint(OTHER, 2))

    async def count(instance: Instance) -> Census:
        async with Links(instance) as links:
            return await census(instance, links, Nft())

    assert asyncio.run(count(ONE)) == Census(
        frozenset({"ct3st-1"}),
        frozenset({"inet createos_t3st", "inet createos_t3st_egress", "arp createos_t3st", "netdev createos_t3st"}),
    )
    assert asyncio.run(count(OTHER)) == Census(frozenset({"c0th3-2"}), frozenset())


def test_loopback_comes_up() -> None:
    world = Namespace()
    world.ip("link set lo down")

    async def up() -> None:
        async with Links(ONE) as links:
            await links.enable_loopback()

    with world.entered():
        asyncio.run(up())
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=20).close()
    world.close()
