from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from createos_netconfig.errors import NetconfigError
from createos_netconfig.presets import PRESETS, expand
from createos_netconfig.rules import MOST_RULES, Rule, parse, parse_rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("example.org", Rule("example.org", name="example.org")),
        ("Example.ORG.:8080", Rule("Example.ORG.:8080", name="example.org", port=8080)),
        ("*.example.org", Rule("*.example.org", name="example.org", wildcard=True)),
        ("*.example.org:443", Rule("*.example.org:443", name="example.org", wildcard=True, port=443)),
        ("bücher.example", Rule("bücher.example", name="xn--bcher-kva.example")),
        ("localhost:3000", Rule("localhost:3000", name="localhost", port=3000)),
        ("192.0.2.7", Rule("192.0.2.7", network=ip_network("192.0.2.7/32"))),
        ("192.0.2.7:22", Rule("192.0.2.7:22", network=ip_network("192.0.2.7/32"), port=22)),
        ("10.1.2.3/8", Rule("10.1.2.3/8", network=ip_network("10.0.0.0/8"))),
        ("10.0.0.0/8:443", Rule("10.0.0.0/8:443", network=ip_network("10.0.0.0/8"), port=443)),
        ("2001:db8::1", Rule("2001:db8::1", network=ip_network("2001:db8::1/128"))),
        ("[2001:db8::1]:443", Rule("[2001:db8::1]:443", network=ip_network("2001:db8::1/128"), port=443)),
        ("2001:db8::/32", Rule("2001:db8::/32", network=ip_network("2001:db8::/32"))),
        ("[2001:db8::/32]:443", Rule("[2001:db8::/32]:443", network=ip_network("2001:db8::/32"), port=443)),
        ("2001:db8::/32:443", Rule("2001:db8::/32:443", network=ip_network("2001:db8::/32"), port=443)),
        ("*", Rule("*")),
    ],
)
def test_every_form_of_rule_is_understood(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("https://example.org", "names a protocol"),
        ("example.org/path", "neither an address nor a network"),
        ("a b", "space or control character"),
        ("a\nb", "space or control character"),
        ("example.org:0", "no port from 1 to 65535"),
        ("example.org:65536", "no port from 1 to 65535"),
        ("example.org:", "no port from 1 to 65535"),
        ("example.org:http", "no port from 1 to 65535"),
        ("example.org:٣", "no port from 1 to 65535"),
        ("*:443", "is no host name"),
        ("a.*.b", "is no host name"),
        ("*.", "is no host name"),
        ("*.*.b", "is no host name"),
        ("-a.example", "is no host name"),
        ("a..example", "is no host name"),
        ("x" * 64 + ".example", "is no host name"),
        ("x" * 301, "longer than 300 characters"),
        ("256.1.1.1", "neither an address nor a network"),
        ("1.2.3", "neither an address nor a network"),
        ("10.0.0.0/33", "neither an address nor a network"),
        ("::ffff:192.0.2.1", "scoped or mapped"),
        ("fe80::1%eth0", "scoped or mapped"),
        ("[::1", "bracket"),
        ("[::1]443", "bracket"),
    ],
)
def test_a_malformed_rule_is_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(NetconfigError, match=said) as refused:
        parse_rule(text)

    assert refused.value.hint


def test_no_rules_and_a_star_allow_everything() -> None:
    assert parse([]).open
    assert parse(["example.org", "*"]).open
    assert not parse(["example.org"]).open
    assert parse([]).allows_name("anything.example", 1)


def test_a_wildcard_is_for_what_is_below() -> None:
    rules = parse(["*.example.org:443", "example.org:80"])

    assert rules.ports_of("a.b.example.org") == {443}
    assert rules.ports_of("example.org") == {80}
    assert rules.ports_of("notexample.org") == frozenset()
    assert rules.ports_of("org") == frozenset()


def test_ports_of_several_rules_for_a_name_add_up() -> None:
    rules = parse(["a.example:80", "*.example:443", "a.example:22"])

    assert rules.ports_of("a.example") == {22, 80, 443}
    assert rules.allows_name("a.example", 22)
    assert not rules.allows_name("a.example", 23)


def test_the_rules_for_an_address_are_found() -> None:
    rules = parse(["10.0.0.0/8:22", "10.1.0.0/16", "a.example"])

    assert [rule.text for rule in rules.holding(ip_address("10.1.2.3"))] == ["10.0.0.0/8:22", "10.1.0.0/16"]
    assert rules.holding(ip_address("2001:db8::1")) == []


def test_repetitions_count_once_and_there_is_a_limit() -> None:
    assert len(parse(["a.example"] * 10).rules) == 1
    with pytest.raises(NetconfigError, match="too many"):
        parse(f"n{number}.example" for number in range(MOST_RULES + 1))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_made_of_rules(name: str) -> None:
    assert parse(expand([f"preset:{name}"])).rules


def test_presets_are_put_in_place_and_unknown_ones_named() -> None:
    assert expand(["a.example", "preset:pypi", "preset:python-uv"]) == ("a.example", *PRESETS["pypi"])
    with pytest.raises(NetconfigError, match="no egress preset 'pip'"):
        expand(["preset:pip"])
