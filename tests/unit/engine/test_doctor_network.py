"""Checks of the network say what stands in the way and change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from createos_engine.doctor import network
from createos_engine.doctor.finding import Verdict
from createos_netconfig.foreign import Obstacle


@pytest.mark.parametrize("value", ["0\n", "1\n"])
def test_forwarding_may_be_on_or_off_before_the_daemon_starts(tmp_path: Path, value: str) -> None:
    switch = tmp_path / "ip_forward"
    switch.write_text(value)

    assert network.forwarding(switch).verdict is Verdict.OK


def test_a_kernel_without_ipv4_is_a_failure(tmp_path: Path) -> None:
    assert network.forwarding(tmp_path / "missing").verdict is Verdict.FAIL


def test_chains_that_drop_are_named_with_each_command_once() -> None:
    docker = [Obstacle("ip filter FORWARD", "iptables x"), Obstacle("ip6 filter FORWARD", "ip6tables x")]

    found = network.blockers([*docker, docker[0]])

    assert found.verdict is Verdict.WARN
    assert "ip6 filter FORWARD" in found.detail
    assert found.fix == "iptables x && ip6tables x"


def test_without_foreign_chains_all_is_well() -> None:
    assert network.blockers([]).verdict is Verdict.OK


def test_it_says_what_sandboxes_have_to_do_without() -> None:
    found = network.blockers(
        [Obstacle("ip filter FORWARD", "x"), Obstacle("ip filter INPUT", "ufw allow in on c+", "input")]
    )

    assert found.detail == (
        "sandboxes reach nothing outside: dropped by the chain ip filter FORWARD; "
        "sandboxes get no answer to names: dropped by the chain ip filter INPUT"
    )
    assert found.fix == "x && ufw allow in on c+"
