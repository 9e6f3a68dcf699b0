"""The firewall is a function of its arguments, and what is admitted is expelled exactly."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from createos_netconfig import ruleset
from createos_netconfig.addresses import Pool
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command
from createos_netconfig.ruleset import Policy
from hypothesis import given
from hypothesis import strategies as st

ONE = Instance("a1b2")
POOL = Pool(IPv4Network("10.77.0.0/16"), IPv6Network("fd77:c05b::/64"))
SLOTS = st.integers(1, 65_000)
ADDRESSES = st.ip_addresses()
NETWORKS = st.one_of(
    st.builds(
        lambda address, bits: IPv4Network((address, bits), strict=False), st.ip_addresses(v=4), st.integers(0, 32)
    ),
    st.builds(
        lambda address, bits: IPv6Network((address, bits), strict=False), st.ip_addresses(v=6), st.integers(0, 128)
    ),
)
POLICIES = st.builds(Policy, st.lists(NETWORKS, max_size=8).map(tuple), st.lists(ADDRESSES, max_size=4).map(tuple))


def elements(commands: Iterable[Command]) -> set[str]:
    """Apply the element commands to sets in memory."""
    there: set[str] = set()
    for command in commands:
        for verb in ("add", "delete"):
            wanted = command.get(verb, {}).get("element")
            for element in wanted["elem"] if wanted else []:
                text = json.dumps([wanted["family"], wanted["table"], wanted["name"], element])
                (there.add if verb == "add" else there.remove)(text)
    return there


@given(POLICIES, st.lists(SLOTS, unique=True, max_size=5))
def test_the_same_arguments_give_the_same_commands(policy: Policy, slots: list[int]) -> None:
    members = [POOL.endpoint(ONE, slot) for slot in slots]

    assert ruleset.install(ONE, POOL, policy, members) == ruleset.install(ONE, POOL, policy, members)


@given(POLICIES)
def test_intervals_never_overlap(policy: Policy) -> None:
    for command in ruleset.install(ONE, POOL, policy, []):
        wanted = command.get("add", {}).get("element")
        networks = [_network(element) for element in wanted["elem"]] if wanted else []

        assert not any(one.overlaps(other) for one in networks for other in networks if one is not other)


def _network(element: object) -> IPv4Network | IPv6Network:
    text = f"{element['prefix']['addr']}/{element['prefix']['len']}" if isinstance(element, dict) else str(element)
    return IPv6Network(text) if ":" in text else IPv4Network(text)


@given(st.lists(SLOTS, unique=True, max_size=5), SLOTS)
def test_expelling_undoes_admitting(present: list[int], slot: int) -> None:
    others = [POOL.endpoint(ONE, other) for other in present if other != slot]
    before = [command for endpoint in others for command in ruleset.admit(ONE, endpoint)]
    endpoint = POOL.endpoint(ONE, slot)

    after = before + ruleset.admit(ONE, endpoint) + ruleset.expel(ONE, endpoint)

    assert elements(after) == elements(before)


@given(st.lists(SLOTS, unique=True, max_size=5))
def test_installing_with_members_is_installing_and_admitting(slots: list[int]) -> None:
    members = [POOL.endpoint(ONE, slot) for slot in slots]
    one_by_one = ruleset.install(ONE, POOL, Policy(), [])
    for endpoint in members:
        one_by_one += ruleset.admit(ONE, endpoint)

    assert elements(ruleset.install(ONE, POOL, Policy(), members)) == elements(one_by_one)
