"""The host objects of memberships: rules, port, card, and the guest's own configuration; undone in reverse."""

from __future__ import annotations

from contextlib import AsyncExitStack

import structlog
from createos_netconfig.bridge_firewall import BridgeFirewall
from createos_netconfig.bridges import Bridges
from createos_netconfig.names import Instance
from createos_netconfig.segments import MTU, Port, Segment, SegmentPool

from createos_engine.drivers.channel.identity import InterfaceConfig
from createos_engine.drivers.channel.links import bring_up
from createos_engine.drivers.hypervisor import Hypervisor, Nic
from createos_engine.errors import EngineError
from createos_engine.network_words import Membership, Stage
from createos_engine.services.agents import Agents
from createos_engine.services.naming import machine_name
from createos_engine.services.network import netconfig_errors
from createos_engine.store.memberships import MembershipStore

log = structlog.get_logger(__name__)

_GUEST_DEADLINE_S = 15.0
_LET_GO_DEADLINE_S = 10.0


class Members:
    """Puts sandboxes on their networks and takes them off.

    Rules come before the port and go after it is cut: a guest says nothing on a network that it is not on. The card
    is plugged into the running machine, at a create as at an attach: a snapshot holds none.
    """

    def __init__(
        self,
        store: MembershipStore,
        pool: SegmentPool,
        bridges: Bridges,
        firewall: BridgeFirewall,
        hypervisor: Hypervisor,
        agents: Agents,
        instance: Instance,
    ) -> None:
        self._store = store
        self._pool = pool
        self._bridges = bridges
        self._firewall = firewall
        self._hypervisor = hypervisor
        self._agents = agents
        self._instance = instance

    @property
    def capacity(self) -> int:
        """How many networks there can be."""
        return self._pool.capacity

    def segment(self, slot: int) -> Segment:
        """Return a network's bridge and subnets."""
        return self._pool.segment(self._instance, slot)

    def port(self, row: Membership) -> Port:
        """Return the port of a membership, with the addresses behind it."""
        return self.segment(row.network_slot).port(self._instance, row.slot, row.number)

    async def install(self) -> None:
        """Put the rules in place for the members there are; must come before the first port."""
        rows = [row for row in self._store.all() if row.stage is Stage.MEMBER]
        with netconfig_errors("the rules of private networks could not be set up"):
            self._firewall.install([self.port(row) for row in rows])

    async def verify(self) -> None:
        """Put the rules in place again when somebody else on this host has removed them."""
        with netconfig_errors("the rules of private networks could not be read"):
            installed = self._firewall.installed()
        if not installed:
            await self.install()
            log.warning("the rules of private networks were gone; somebody else removed them, and they are back")

    async def add_bridge(self, slot: int) -> None:
        """Make a network's bridge; one that is there is kept."""
        segment = self.segment(slot)
        with netconfig_errors(f"the bridge {segment.bridge} could not be made"):
            await self._bridges.add_bridge(segment)

    async def remove_bridge(self, slot: int) -> None:
        """Remove a network's bridge; one that is gone is fine."""
        segment = self.segment(slot)
        with netconfig_errors(f"the bridge {segment.bridge} could not be removed"):
            await self._bridges.remove_bridge(segment.bridge)

    async def plug_all(self, sandbox_id: str) -> None:
        """Put a running sandbox on all its networks; repeatable. Raises with none of what it made left behind."""
        async with AsyncExitStack() as undo:
            for row in self._members_of(sandbox_id):
                undo.push_async_callback(self.sever, row)
                await self.plug(row)
            undo.pop_all()

    async def plug(self, row: Membership) -> None:
        """Put a running sandbox on one network; repeatable. Whoever calls undoes with `pull` after a failure."""
        port = self.port(row)
        await self.add_bridge(row.network_slot)
        with netconfig_errors(f"the port {port.interface} could not be made"):
            self._firewall.admit(port)
            await self._bridges.add_port(port)
        await self._hypervisor.plug(machine_name(self._instance.id, row.sandbox_id), _nic(port))
        card = InterfaceConfig(mac=port.mac, addresses=(str(port.ipv4), str(port.ipv6)), gateways=(), mtu=MTU)
        await bring_up(self._agents.get(row.sandbox_id), [card], deadline_s=_GUEST_DEADLINE_S)

    async def pull_all(self, sandbox_id: str) -> None:
        """Take a running sandbox's cards away and keep its memberships; HostFailed when the guest holds on to one.

        A machine that is to be saved must have none: what it is restored to may be on other networks.
        """
        for row in self._store.of_sandbox(sandbox_id):
            await self.pull(row)

    async def pull(self, row: Membership) -> None:
        """Cut a sandbox off a network at once, then take its card; HostFailed when the guest holds on to that."""
        port = self.port(row)
        with netconfig_errors(f"the port {port.interface} could not be closed"):
            self._firewall.expel(port.slot)
        await self._hypervisor.unplug(
            machine_name(self._instance.id, row.sandbox_id), _nic(port), deadline_s=_LET_GO_DEADLINE_S
        )
        await self.sever(row)

    async def sever_all(self, sandbox_id: str) -> None:
        """Remove the ports of a sandbox whose machine is gone or going; its memberships stay."""
        for row in self._store.of_sandbox(sandbox_id):
            await self.sever(row)

    async def sever(self, row: Membership) -> None:
        """Remove the port of a membership; what is gone is fine."""
        await self.close_port(row.slot)

    async def close_port(self, slot: int) -> None:
        """Remove a port and its rules by its slot, whoever it was made for."""
        name = self._instance.port(slot)
        with netconfig_errors(f"the port {name} could not be removed"):
            self._firewall.expel(slot)
            await self._bridges.remove_port(name)

    async def adopt(self, sandbox_id: str) -> None:
        """Verify what a running machine has after a restart; what fails now is tried again by reconcile.

        A sandbox that cannot be put on a network runs on without: it is not worth less than its network.
        """
        for row in self._members_of(sandbox_id):
            try:
                await self.plug(row)
            except EngineError as exc:
                log.warning("a network is missing", sandbox=sandbox_id, network=row.network_id, reason=exc.sentence)

    async def there(self) -> tuple[frozenset[int], frozenset[int]]:
        """Return the slots of the bridges and of the ports (or their rules) that exist."""
        with netconfig_errors("private networks could not be listed"):
            bridges, ports = await self._bridges.there()
            return bridges, ports | self._firewall.ports()

    async def remove(self) -> None:
        """Remove every bridge, port and rule of private networks of this engine."""
        bridges, ports = await self.there()
        for slot in ports:
            await self.close_port(slot)
        for slot in bridges:
            await self.remove_bridge(slot)
        with netconfig_errors("the rules of private networks could not be removed"):
            self._firewall.remove()

    def _members_of(self, sandbox_id: str) -> list[Membership]:
        return [row for row in self._store.of_sandbox(sandbox_id) if row.stage is not Stage.LEAVING]


def _nic(port: Port) -> Nic:
    return Nic(tap=port.interface, mac=port.mac)
