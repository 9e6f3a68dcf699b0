"""What else the engine asks of an agent, each with a deadline."""

from __future__ import annotations

from base64 import b64decode
from time import monotonic

import pytest
from createos_engine.drivers.channel.agent import AgentClient, Identity, InterfaceConfig, Stats
from createos_engine.errors import GuestFailed

from tests.fakes.guest import FakeGuest, GuestStream, Refused, Script

IDENTITY = Identity(
    hostname="demo-box",
    clock_unix_ns=1_782_900_000_000_000_000,
    entropy=bytes(range(64)),
    dns_servers=("169.254.77.1",),
    dns_search=("fc.local",),
    interfaces=(InterfaceConfig("52:54:00:00:00:01", ("10.77.0.2/32",), ("169.254.77.1", "fe80::1")),),
)
STATS = {
    "uptime_s": 12.5,
    "mem_total_kib": 250_000,
    "mem_available_kib": 200_000,
    "disk_total_bytes": 10**9,
    "disk_free_bytes": 10**8,
    "load_1m": 0.25,
    "processes": 40,
}


def answering(result: dict[str, object]) -> Script:
    async def answer(stream: GuestStream) -> dict[str, object]:
        return result

    return answer


async def never(stream: GuestStream) -> None:
    return None


async def test_the_identity_is_sent_as_the_protocol_says(guest: FakeGuest, agent: AgentClient) -> None:
    guest.scripts["configure"] = answering({"hostname": "demo-box"})

    applied = await agent.configure(IDENTITY)

    assert applied == {"hostname": "demo-box"}
    (sent,) = guest.requests
    assert b64decode(str(sent.pop("entropy_base64"))) == IDENTITY.entropy
    assert sent == {
        "kind": "configure",
        "hostname": "demo-box",
        "clock_unix_ns": 1_782_900_000_000_000_000,
        "dns": {"servers": ["169.254.77.1"], "search": ["fc.local"]},
        "interfaces": [
            {
                "mac": "52:54:00:00:00:01",
                "addresses": ["10.77.0.2/32"],
                "gateways": ["169.254.77.1", "fe80::1"],
                "mtu": 1500,
                "replaces": "",
            }
        ],
        "machine_id": "",
        "renew": False,
    }


async def test_stats_are_figures(guest: FakeGuest, agent: AgentClient) -> None:
    guest.scripts["stats"] = answering(dict(STATS))

    assert await agent.stats() == Stats(**STATS)  # type: ignore[arg-type]


async def test_stats_that_are_no_figures_are_refused(guest: FakeGuest, agent: AgentClient) -> None:
    guest.scripts["stats"] = answering({**STATS, "processes": "many"})

    with pytest.raises(GuestFailed, match="the guest agent's answer has no valid processes"):
        await agent.stats()


async def test_shutdown_names_the_action(guest: FakeGuest, agent: AgentClient) -> None:
    guest.scripts["shutdown"] = answering({})

    await agent.shutdown("poweroff")

    assert guest.requests == [{"kind": "shutdown", "action": "poweroff"}]


async def test_an_agent_that_does_not_answer_is_given_up_at_the_deadline(guest: FakeGuest, agent: AgentClient) -> None:
    guest.scripts["ping"] = never
    begun = monotonic()

    with pytest.raises(GuestFailed, match="did not answer ping within 0.2 s"):
        await agent.ping(deadline_s=0.2)

    assert 0.15 < monotonic() - begun < 2
    await guest.until(guest.links[0].streams[1].cancelled.is_set)


async def test_a_failure_names_the_step_and_the_guests_reason(guest: FakeGuest, agent: AgentClient) -> None:
    async def refuse(stream: GuestStream) -> dict[str, object]:
        raise Refused("failed", "no interface has the MAC 52:54:00:00:00:01")

    guest.scripts["configure"] = refuse

    with pytest.raises(GuestFailed, match="the guest agent could not configure: no interface has the MAC"):
        await agent.configure(IDENTITY)


async def test_a_closed_client_is_not_connected(agent: AgentClient) -> None:
    assert agent.connected

    await agent.close()

    assert not agent.connected
    with pytest.raises(GuestFailed, match="the engine closed the channel"):
        await agent.ping()


async def test_a_new_client_begins_a_new_epoch(guest: FakeGuest, agent: AgentClient) -> None:
    await agent.ping()
    await agent.close()

    again = await AgentClient.connect(guest.path, deadline_s=60)
    await again.ping()

    assert [link.last for link in guest.links] == [1, 1]
    await again.close()
