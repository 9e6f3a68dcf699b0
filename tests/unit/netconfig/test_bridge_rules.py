from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from createos_netconfig import bridge_rules
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command

from tests.unit.netconfig.test_segments import POOL

GOLDEN = Path(__file__).parent / "golden"
ONE = Instance("a1b2")
PORT = POOL.segment(ONE, 1).port(ONE, 3, 2)


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("bridge_install", bridge_rules.install(ONE, [PORT])),
        ("bridge_expel", bridge_rules.expel(ONE, PORT.slot)),
        ("bridge_routed", bridge_rules.routed(ONE)),
    ],
)
def test_the_commands_are_those_that_were_reviewed(name: str, commands: list[Command]) -> None:
    path = GOLDEN / f"{name}.json"
    text = "[\n" + ",\n".join(json.dumps(command) for command in commands) + "\n]\n"
    if os.environ.get("GOLDEN"):
        path.write_text(text)

    assert text == path.read_text()


def test_admitting_twice_gives_the_same_commands_and_ends_with_the_way_in() -> None:
    commands = bridge_rules.admit(ONE, PORT)

    assert commands == bridge_rules.admit(ONE, PORT)
    assert "element" in commands[-1]["add"]


def test_a_port_chain_ends_with_no() -> None:
    added = [command.get("add", {}) for command in bridge_rules.admit(ONE, PORT)]
    rules = [command["rule"]["expr"] for command in added if "rule" in command]

    assert rules[-1] == [{"drop": None}]
