"""What makes a guest this sandbox and no other: given at boot, refreshed after a pause, renewed in a copy.

A copy has the names, keys, addresses and random numbers of the guest it was made of. Nothing of that may reach a
network: `renew` comes before its link is opened, and what the agent says it has set is compared with what was wanted.
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime

import structlog

from createos_engine.drivers.channel.agent import AgentClient, Identity, InterfaceConfig
from createos_engine.drivers.channel.answers import printable
from createos_engine.errors import GuestFailed
from createos_engine.services.names import DOMAIN
from createos_engine.services.naming import machine_uuid
from createos_engine.services.network import Network
from createos_engine.words import Sandbox

log = structlog.get_logger(__name__)

_ENTROPY_BYTES = 64
# A clock that is not known to be right within this is set again.
_CLOCK_WITHIN_NS = 50_000_000
_CLOCK_TRIES = 12
_CLOCK_PAUSE_S = 0.02
_MOST_HOST_KEYS = 8


class Identities:
    """Gives guests who they are."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def give(self, agent: AgentClient, sandbox: Sandbox) -> None:
        """Configure a guest that has just booted."""
        await agent.configure(self._identity(sandbox))

    async def wake(self, agent: AgentClient) -> int:
        """Set clock and randomness of a guest that slept and return how far its clock may be off, in nanoseconds.

        The guest says what its clock shows; the host knows only that this was while it waited for the answer. A busy
        host makes that a long time: it is tried again, after pauses that get longer, until the answer leaves no doubt
        of more than 50 ms.
        """
        on_the_way_ns = doubt_ns = 0
        for attempt in range(_CLOCK_TRIES):
            await asyncio.sleep(_CLOCK_PAUSE_S * attempt)
            begun = time.time_ns()
            shown = await agent.wake(begun + on_the_way_ns, os.urandom(_ENTROPY_BYTES))
            ended = time.time_ns()
            doubt_ns = max(abs(shown - begun), abs(shown - ended))
            if doubt_ns <= _CLOCK_WITHIN_NS:
                return doubt_ns
            on_the_way_ns = (ended - begun) // 2
        log.warning("the clock of a guest may be wrong", off_by_ms=doubt_ns // 1_000_000)
        return doubt_ns

    async def renew(self, agent: AgentClient, sandbox: Sandbox, replaces_mac: str) -> dict[str, str]:
        """Make a copy of another guest this sandbox; return what the agent confirmed, or raise GuestFailed."""
        wanted = self._identity(sandbox, replaces_mac)
        said = await agent.configure(wanted)
        doubt_ns = await self.wake(agent)
        return {**_receipt(wanted, said), "clock": f"set, right within {-(-doubt_ns // 1_000_000)} ms"}

    def _identity(self, sandbox: Sandbox, replaces_mac: str = "") -> Identity:
        endpoint = self._network.endpoint(sandbox.slot)
        interface = InterfaceConfig(
            mac=endpoint.mac,
            addresses=(f"{endpoint.ipv4}/32", f"{endpoint.ipv6}/128"),
            gateways=self._network.gateways,
            replaces=replaces_mac,
        )
        return Identity(
            hostname=sandbox.name,
            clock_unix_ns=time.time_ns(),
            entropy=os.urandom(_ENTROPY_BYTES),
            dns_servers=self._network.resolvers,
            dns_search=(DOMAIN,),
            interfaces=(interface,),
            machine_id=machine_uuid(sandbox.id).replace("-", ""),
            renew=bool(replaces_mac),
        )


def _receipt(wanted: Identity, said: dict[str, object]) -> dict[str, str]:
    """Return what a guest says it has become; raise GuestFailed when that is not what was wanted."""
    interface = wanted.interfaces[0]
    found = _interface(said)
    confirmed = {
        "hostname": (printable(said.get("hostname")), wanted.hostname),
        "machine_id": (printable(said.get("machine_id")), wanted.machine_id),
        "mac": (printable(found.get("mac")).lower(), interface.mac),
        "addresses": (_addresses(found), ", ".join(sorted(interface.addresses))),
    }
    for name, (is_now, should_be) in confirmed.items():
        if is_now != should_be:
            raise GuestFailed(
                f"the fork did not take its own identity: its {name} is {is_now or 'unknown'} instead of {should_be}",
                hint="fork again; this one was never connected to a network",
            )
    return {
        **{name: is_now for name, (is_now, _) in confirmed.items()},
        "ssh_host_keys": _host_keys(said),
        "randomness": "reseeded from the host",
        "confirmed_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def _interface(said: dict[str, object]) -> dict[str, object]:
    interfaces = said.get("interfaces")
    first = interfaces[0] if isinstance(interfaces, list) and interfaces else None
    return first if isinstance(first, dict) else {}


def _addresses(interface: dict[str, object]) -> str:
    """Return the addresses but for those of the link itself, in a fixed order."""
    found = interface.get("addresses")
    texts = [printable(address) for address in found] if isinstance(found, list) else []
    return ", ".join(sorted(text for text in texts if not text.startswith("fe80:")))


def _host_keys(said: dict[str, object]) -> str:
    keys = said.get("host_keys")
    found = [key for key in keys if isinstance(key, dict)][:_MOST_HOST_KEYS] if isinstance(keys, list) else []
    parts = [f"{printable(key.get('type'), 64)} {printable(key.get('fingerprint'), 64)}" for key in found]
    return ", ".join(parts) or "the image has none"
