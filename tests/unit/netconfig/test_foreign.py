from __future__ import annotations

import pytest
from createos_netconfig.foreign import Obstacle, find
from createos_netconfig.nft import Command


def base(family: str, table: str, name: str, policy: str = "drop", hook: str = "forward") -> Command:
    return {"chain": {"family": family, "table": table, "name": name, "hook": hook, "policy": policy, "prio": 0}}


def plain(family: str, table: str, name: str) -> Command:
    return {"chain": {"family": family, "table": table, "name": name}}


def rule(family: str, table: str, chain: str, interface: str) -> Command:
    match = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": interface}}
    return {"rule": {"family": family, "table": table, "chain": chain, "expr": [match, {"accept": None}]}}


def jump(family: str, table: str, chain: str, to: str) -> Command:
    return {"rule": {"family": family, "table": table, "chain": chain, "expr": [{"jump": {"target": to}}]}}


OURS = base("inet", "createos_a1b2", "route", "accept")
DOCKER = [
    item
    for family in ("ip", "ip6")
    for item in (base(family, "filter", "FORWARD"), plain(family, "filter", "DOCKER-USER"))
]
FIREWALLD = base("inet", "firewalld", "filter_FORWARD", "accept")
UFW = [
    *(base("ip", "filter", "FORWARD"), plain("ip", "filter", "ufw-user-forward")),
    *(base("ip6", "filter", "FORWARD"), plain("ip6", "filter", "ufw6-user-forward")),
]


def test_docker_is_told_in_its_own_chain() -> None:
    assert find([OURS, *DOCKER]) == [
        Obstacle(
            "ip filter FORWARD",
            "iptables -I DOCKER-USER -i ca1b2-+ -j ACCEPT && iptables -I DOCKER-USER -o ca1b2-+ -j ACCEPT",
        ),
        Obstacle(
            "ip6 filter FORWARD",
            "ip6tables -I DOCKER-USER -i ca1b2-+ -j ACCEPT && ip6tables -I DOCKER-USER -o ca1b2-+ -j ACCEPT",
        ),
    ]


def test_firewalld_rejects_although_its_policy_is_accept() -> None:
    assert find([OURS, FIREWALLD]) == [
        Obstacle(
            "inet firewalld filter_FORWARD",
            "firewall-cmd --permanent --zone=trusted --add-interface=ca1b2-+ && firewall-cmd --reload",
        )
    ]


def test_ufw_is_told_once_for_both_families() -> None:
    assert {obstacle.fix for obstacle in find([OURS, *UFW])} == {"ufw route allow in on ca1b2-+"}


def test_any_other_chain_gets_a_rule_of_nft() -> None:
    assert find([OURS, base("inet", "filter", "forward")]) == [
        Obstacle(
            "inet filter forward",
            "nft insert rule inet filter forward iifname '\"ca1b2-*\"' accept"
            " && nft insert rule inet filter forward oifname '\"ca1b2-*\"' accept",
        )
    ]


@pytest.mark.parametrize(
    "served",
    [
        [
            *DOCKER[:2],
            jump("ip", "filter", "FORWARD", "DOCKER-USER"),
            rule("ip", "filter", "DOCKER-USER", "ca1b2-*"),
        ],
        [
            FIREWALLD,
            jump("inet", "firewalld", "filter_FORWARD", "filter_FORWARD_ZONES"),
            rule("inet", "firewalld", "filter_FORWARD_ZONES", "ca1b2-*"),
        ],
        [
            *UFW[:2],
            jump("ip", "filter", "FORWARD", "ufw-user-forward"),
            rule("ip", "filter", "ufw-user-forward", "ca1b2-*"),
        ],
        [base("inet", "filter", "forward"), rule("inet", "filter", "forward", "ca1b2-*")],
    ],
)
def test_who_was_told_is_no_obstacle(served: list[Command]) -> None:
    assert find([OURS, *served]) == []


def test_a_rule_in_another_table_or_for_another_engine_does_not_count() -> None:
    elsewhere = [rule("ip", "filter", "forward", "ca1b2-*"), rule("inet", "filter", "forward", "c0000-*")]

    assert len(find([OURS, base("inet", "filter", "forward"), *elsewhere])) == 1


@pytest.mark.parametrize(
    "harmless",
    [
        base("ip", "filter", "FORWARD", "accept"),
        base("inet", "filter", "output", hook="output"),
        base("inet", "firewalld", "filter_PREROUTING", "accept", hook="prerouting"),
        base("bridge", "filter", "forward"),
        base("inet", "createos_0000", "route"),
        plain("ip", "filter", "forward"),
    ],
)
def test_what_drops_no_packet_of_ours_is_no_obstacle(harmless: Command) -> None:
    assert find([harmless]) == []


def test_before_the_first_engine_the_beginning_of_all_names_is_used() -> None:
    assert "-i c+ -j ACCEPT" in find(DOCKER)[0].fix


def test_where_bridged_packets_are_filtered_the_bridges_must_pass_too() -> None:
    fixes = [obstacle.fix for obstacle in find([OURS, *DOCKER[:2]], bridged=True)]

    assert fixes == [
        "iptables -I DOCKER-USER -i ca1b2-+ -j ACCEPT && iptables -I DOCKER-USER -o ca1b2-+ -j ACCEPT",
        "iptables -I DOCKER-USER -i ca1b2b+ -j ACCEPT && iptables -I DOCKER-USER -o ca1b2b+ -j ACCEPT",
    ]


def test_a_rule_for_the_bridges_is_enough_for_them() -> None:
    told = [
        OURS,
        *DOCKER[:2],
        jump("ip", "filter", "FORWARD", "DOCKER-USER"),
        rule("ip", "filter", "DOCKER-USER", "ca1b2-*"),
        rule("ip", "filter", "FORWARD", "ca1b2b*"),
    ]

    assert find([OURS, *DOCKER[:2], *told], bridged=True) == []


def test_a_chain_that_drops_what_the_host_is_asked_is_an_obstacle_of_its_own() -> None:
    ufw = [*UFW[:2], base("ip", "filter", "INPUT", hook="input")]
    nft = base("inet", "filter", "input", hook="input")
    forwarded = [
        jump("ip", "filter", "FORWARD", "ufw-user-forward"),
        rule("ip", "filter", "ufw-user-forward", "ca1b2-*"),
    ]

    assert find([OURS, *ufw, *forwarded, nft]) == [
        Obstacle("ip filter INPUT", "ufw allow in on ca1b2-+", "input"),
        Obstacle("inet filter input", "nft insert rule inet filter input iifname '\"ca1b2-*\"' accept", "input"),
    ]
    assert find([nft]) == []
