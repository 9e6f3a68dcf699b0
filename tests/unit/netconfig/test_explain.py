from __future__ import annotations

import re
from ipaddress import ip_address

import pytest
from createos_netconfig.errors import NetconfigError
from createos_netconfig.explain import explain
from createos_netconfig.rules import OPEN, parse

RULES = parse(["example.org:443", "*.wild.example", "192.0.2.0/24:22", "198.51.100.7"])


def closed(address: object) -> str:
    return {"169.254.169.254": "metadata", "10.0.0.1": "private", "192.168.1.1": "host"}.get(str(address), "")


@pytest.mark.parametrize(
    ("host", "port", "allowed", "why"),
    [
        ("example.org", 443, True, "example.org is allowed; the connection must say the name"),
        ("EXAMPLE.org.", 0, True, "example.org is allowed on port 443"),
        ("example.org", 80, False, "example.org is allowed on port 443, not on port 80"),
        ("a.wild.example", 25, True, "a.wild.example is allowed"),
        ("wild.example", 0, False, r"does not resolve; \*.wild.example is for names below it only"),
        ("other.example", 443, False, "no egress rule lists this name: other.example does not resolve"),
        ("192.0.2.9", 22, True, "192.0.2.9 is allowed"),
        ("192.0.2.9", 23, False, "192.0.2.9 is allowed on port 22, not on port 23"),
        ("198.51.100.7", 0, True, "allowed on every port"),
        ("203.0.113.1", 443, False, "it would pass while a listed name has this address"),
        ("203.0.113.9", 443, True, "a listed name has this address at present"),
        ("169.254.169.254", 80, False, "whatever the rules say: metadata services"),
        ("10.0.0.1", 0, False, "whatever the rules say: private and special"),
        ("192.168.1.1", 0, False, "whatever the rules say: the host itself"),
        ("[2001:db8::1]", 443, False, "no egress rule allows this destination"),
    ],
)
def test_what_would_happen_is_said_with_its_reason(host: str, port: int, allowed: bool, why: str) -> None:
    found = explain(RULES, host, port, closed, [ip_address("203.0.113.9")])

    assert found.allowed is allowed
    assert re.search(why, found.why), found.why


def test_the_rules_that_decide_are_named() -> None:
    assert explain(RULES, "example.org", 443, closed).rules == ("example.org:443",)
    assert explain(RULES, "nowhere.example", 443, closed).rules == ()


def test_without_rules_everything_outside_is_allowed() -> None:
    assert explain(OPEN, "any.example", 1, closed).allowed
    assert explain(OPEN, "192.0.2.1", 1, closed).allowed
    assert not explain(OPEN, "10.0.0.1", 1, closed).allowed


@pytest.mark.parametrize(
    ("host", "port"), [("a b", 80), ("", 80), ("a..b", 80), ("a.example", 65_536), ("a.example", -1)]
)
def test_what_is_no_host_is_said_to_be_none(host: str, port: int) -> None:
    with pytest.raises(NetconfigError):
        explain(RULES, host, port, closed)
