from __future__ import annotations

import json
import os
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest
from createos_netconfig import ruleset
from createos_netconfig.addresses import Pool
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command
from createos_netconfig.ranges import PRIVATE_V4, PRIVATE_V6
from createos_netconfig.ruleset import Policy

GOLDEN = Path(__file__).parent / "golden"
ONE = Instance("a1b2")
POOL = Pool(IPv4Network("10.77.0.0/16"), IPv6Network("fd77:c05b::/64"))
POLICY = Policy(
    allow_private=(ip_network("192.168.50.0/24"), ip_network("192.168.0.0/18"), ip_network("fd50::/64")),
    resolvers=(ip_address("192.168.1.1"), ip_address("192.168.1.1"), ip_address("2001:db8::53")),
)


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("install", ruleset.install(ONE, POOL, POLICY, [POOL.endpoint(ONE, 1)])),
        ("admit", ruleset.admit(ONE, POOL.endpoint(ONE, 2))),
        ("expel", ruleset.expel(ONE, POOL.endpoint(ONE, 2))),
        ("remove", ruleset.remove(ONE)),
    ],
)
def test_the_commands_are_those_that_were_reviewed(name: str, commands: list[Command]) -> None:
    path = GOLDEN / f"{name}.json"
    text = "[\n" + ",\n".join(json.dumps(command) for command in commands) + "\n]\n"
    if os.environ.get("GOLDEN"):
        path.write_text(text)

    assert text == path.read_text()


def rules(commands: list[Command], chain: str) -> list[str]:
    """Return the rules of a chain, in order, as text."""
    added = [command["add"]["rule"] for command in commands if "rule" in command.get("add", {})]
    return [json.dumps(rule["expr"]) for rule in added if rule["chain"] == chain]


@pytest.mark.parametrize("chain", ["spoof", "arp", "host", "route", "open", "enter", "leave"])
def test_every_rule_is_for_our_interfaces_alone(chain: str) -> None:
    found = rules(ruleset.install(ONE, POOL, POLICY, []), chain)

    assert found
    assert [rule for rule in found if '"right": "ca1b2-*"' not in rule] == []


@pytest.mark.parametrize("chain", ["spoof", "arp", "host", "open", "enter"])
def test_a_chain_ends_with_no_for_what_no_rule_let_through(chain: str) -> None:
    last = rules(ruleset.install(ONE, POOL, POLICY, []), chain)[-1]

    assert last.endswith(('{"drop": null}]', '{"goto": {"target": "refuse"}}]'))
    assert last.count("match") == 1


@pytest.mark.parametrize(
    "address",
    [
        *("10.1.2.3", "127.0.0.1", "169.254.169.254", "169.254.77.1", "172.31.0.1", "192.168.1.1", "100.64.0.1"),
        *("0.1.2.3", "198.18.0.1", "224.0.0.251", "255.255.255.255", "240.0.0.1", "192.0.0.1"),
        *("::1", "::", "::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "fd00:ec2::254", "fe80::1"),
        *("ff02::1", "fec0::1", "2002:a00:1::", "2001:0:a00::1", "100::1", "5f00::1"),
    ],
)
def test_what_is_not_the_internet_is_private(address: str) -> None:
    wanted = ip_address(address)
    networks = [ip_network(network) for network in (*PRIVATE_V4, *PRIVATE_V6)]

    assert any(wanted in network for network in networks if network.version == wanted.version)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "100.128.0.1", "172.32.0.1", "192.1.0.1", "2606:4700::1111", "2001:4860::8888"]
)
def test_the_internet_is_not_private(address: str) -> None:
    wanted = ip_address(address)
    networks = [ip_network(network) for network in (*PRIVATE_V4, *PRIVATE_V6)]

    assert not any(wanted in network for network in networks if network.version == wanted.version)


def test_sources_are_judged_before_fragments_are_put_together() -> None:
    commands = ruleset.install(ONE, POOL, POLICY, [])
    chains = [command["add"]["chain"] for command in commands if "chain" in command.get("add", {})]

    assert [chain["prio"] for chain in chains if chain["name"] == "spoof"] == [-450]
