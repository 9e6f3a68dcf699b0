"""What a guest reaches, and what it is told when it must not."""

from __future__ import annotations

import pytest
from createos_netconfig.addresses import link_local

from tests.host.netlab import (
    LAN_V4,
    LAN_V6,
    METADATA,
    PRIVATE_SERVER_V4,
    PRIVATE_SERVER_V6,
    SERVER_V4,
    SERVER_V6,
    UPLINK_LINK_LOCAL,
    UPLINK_V4,
    UPLINK_V6,
    Guest,
    Lab,
)
from tests.host.netserver import PROHIBITED, REFUSED, SILENCE, ask

pytestmark = pytest.mark.root

WEB, DNS = 8080, 53
HOST_ADDRESSES = [
    *("169.254.77.1", UPLINK_V4, LAN_V4, "10.99.0.1", "192.0.2.1"),
    *(UPLINK_V6, LAN_V6, "2001:db8:9::1"),
]


@pytest.fixture(scope="module")
def guests(shared: Lab) -> list[Guest]:
    """Return two guests beside servers on everything they might try."""
    shared.host.ip(
        "link add other0 type veth peer name other1",
        *(f"addr add {address} dev other0" for address in ("10.99.0.1/24", "192.0.2.1/24")),
        "addr add 2001:db8:9::1/64 dev other0 nodad",
        "link set other0 up",
        "link set other1 up",
    )
    guests = [shared.guest(1), shared.guest(2)]
    everywhere = ("0.0.0.0", "::")
    outside = (SERVER_V4, SERVER_V6, METADATA, PRIVATE_SERVER_V4, PRIVATE_SERVER_V6)
    for world, addresses in (
        (shared.host, everywhere),
        (guests[1].namespace, everywhere),
        (shared.internet, outside),
    ):
        with world.entered():
            for address in addresses:
                shared.servers.listen(address, WEB)
                shared.servers.listen(address, DNS)
    return guests


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize(("server", "uplink"), [(SERVER_V4, UPLINK_V4), (SERVER_V6, UPLINK_V6)])
def test_the_internet_sees_the_uplink(guests: list[Guest], kind: str, server: str, uplink: str) -> None:
    with guests[0].namespace.entered():
        assert ask(kind, server, WEB) == uplink


@pytest.mark.parametrize("address", HOST_ADDRESSES)
def test_no_address_of_the_host_answers(guests: list[Guest], address: str) -> None:
    with guests[0].namespace.entered():
        assert (ask("tcp", address, WEB), ask("udp", address, WEB)) == (REFUSED, PROHIBITED)


@pytest.mark.parametrize("address", ["10.77.0.3", "fd77:c05b::3"])
def test_another_sandbox_is_refused(guests: list[Guest], address: str) -> None:
    with guests[0].namespace.entered():
        assert (ask("tcp", address, WEB), ask("udp", address, WEB)) == (REFUSED, PROHIBITED)


@pytest.mark.parametrize("whose", ["the gateway", "another sandbox", "the uplink"])
def test_no_link_local_address_answers(guests: list[Guest], whose: str) -> None:
    neighbour = str(link_local(guests[1].endpoint.mac))
    address = {"the gateway": "fe80::1", "another sandbox": neighbour, "the uplink": UPLINK_LINK_LOCAL}[whose]

    with guests[0].namespace.entered():
        assert ask("tcp", f"{address}%eth0", WEB, patience_s=0.4) == SILENCE
        assert ask("udp", f"{address}%eth0", WEB, patience_s=0.4) == SILENCE


@pytest.mark.parametrize("address", [METADATA, PRIVATE_SERVER_V4, PRIVATE_SERVER_V6, "fd00:ec2::254", "::ffff:0:1"])
def test_what_is_not_the_internet_is_refused(guests: list[Guest], address: str) -> None:
    with guests[0].namespace.entered():
        assert (ask("tcp", address, WEB), ask("udp", address, WEB)) == (REFUSED, PROHIBITED)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize(("server", "uplink"), [(PRIVATE_SERVER_V4, LAN_V4), (PRIVATE_SERVER_V6, LAN_V6)])
def test_a_resolver_answers_on_its_port_alone(guests: list[Guest], kind: str, server: str, uplink: str) -> None:
    with guests[0].namespace.entered():
        assert ask(kind, server, DNS) == uplink
        assert ask(kind, server, WEB) in {REFUSED, PROHIBITED}


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_the_outside_cannot_open_to_a_sandbox(guests: list[Guest], shared: Lab, kind: str) -> None:
    with shared.internet.entered():
        assert ask(kind, guests[1].v4, WEB, patience_s=0.4) == SILENCE
        assert ask(kind, guests[1].v6, WEB, patience_s=0.4) == SILENCE


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_the_host_itself_reaches_a_sandbox(guests: list[Guest], kind: str) -> None:
    assert ask(kind, guests[1].v4, WEB) == "169.254.77.1"
    assert ask(kind, guests[1].v6, WEB) not in {REFUSED, PROHIBITED, SILENCE}
