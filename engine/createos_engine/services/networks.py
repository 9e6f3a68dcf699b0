"""Private networks: make them, put sandboxes on them, take them off again (wire-api 13)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog
from createos_netconfig.segments import MOST_PORTS

from createos_engine.errors import EngineError, HostFailed, Invalid, NotFound
from createos_engine.lifecycle import require_running
from createos_engine.network_words import Member, Membership, PrivateNetwork, Stage
from createos_engine.services.background import Background
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.members import Members
from createos_engine.services.naming import network_id
from createos_engine.store.memberships import MembershipStore
from createos_engine.store.networks import NetworkStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Page, Sandbox, State, User

log = structlog.get_logger(__name__)

# A machine has eight spare slots for cards and disks.
MOST_OF_A_SANDBOX = 5


class Networks:
    """Private networks of users. Intent rows first; a membership counts when all of it is there."""

    def __init__(
        self,
        store: NetworkStore,
        memberships: MembershipStore,
        sandboxes: SandboxStore,
        members: Members,
        locks: SandboxLocks,
        background: Background,
        *,
        most_per_user: int,
    ) -> None:
        self._store = store
        self._memberships = memberships
        self._sandboxes = sandboxes
        self._members = members
        self._locks = locks
        self._background = background
        self._most_per_user = most_per_user
        # A bridge is not made while it is being removed, nor the other way round.
        self._bridging = asyncio.Lock()

    async def create(self, user: User, name: str) -> PrivateNetwork:
        """Return a new network without members."""
        draft = PrivateNetwork(network_id(), user.id, name, slot=0, created_at=datetime.now(UTC))
        row = await self._store.insert(draft, most=self._most_per_user, capacity=self._members.capacity)
        try:
            async with self._bridging:
                await self._members.add_bridge(row.slot)
        except EngineError:
            await self._store.delete(row, in_use=lambda count: f"network {name} is used by {count} sandboxes")
            raise
        log.info("network created", network=row.id)
        return row

    async def list(self, user: User, page: Page) -> tuple[Sequence[PrivateNetwork], int]:
        """Return the rows of a page, newest first, and how many there are in all."""
        return self._store.page(user.id, page)

    async def get(self, user: User, ref: str) -> PrivateNetwork:
        """Return one network with its members and their addresses on it."""
        row = self._store.find(user.id, ref)
        ips = {each.sandbox_id: str(self._members.port(each).ipv4.ip) for each in self._memberships.of_network(row.id)}
        members = self._store.members(row.id)
        return replace(row, members=tuple(_addressed(member, ips) for member in members))

    async def delete(self, user: User, ref: str) -> PrivateNetwork:
        """Delete a network that nobody is on; Conflict while a sandbox is."""
        row = self._store.find(user.id, ref)
        async with self._bridging:
            await self._store.delete(row, in_use=lambda count: _in_use(row.name, count))
            await self._members.remove_bridge(row.slot)
        log.info("network deleted", network=row.id)
        return row

    async def attach(self, user: User, sandbox_ref: str, network_ref: str) -> PrivateNetwork:
        """Put a running sandbox on a network; one that is on it already is fine."""
        sandbox = self._sandboxes.find(user.id, sandbox_ref)
        require_running(sandbox.state)
        network = self._store.find(user.id, network_ref)
        await self._finished(f"attach {sandbox.id}", self._attach(sandbox.id, network))
        return network

    async def detach(self, user: User, sandbox_ref: str, network_ref: str) -> PrivateNetwork:
        """Take a sandbox off a network, whatever its state; NotFound when it is not on it."""
        sandbox = self._sandboxes.find(user.id, sandbox_ref)
        network = self._store.find(user.id, network_ref)
        await self._finished(f"detach {sandbox.id}", self._detach(sandbox.id, network))
        return network

    def wanted(self, user: User, refs: Sequence[str]) -> tuple[PrivateNetwork, ...]:
        """Return the networks a create names; Invalid (field networks) when one is unknown or there are too many."""
        found: dict[str, PrivateNetwork] = {}
        for ref in refs:
            try:
                network = self._store.find(user.id, ref)
            except NotFound as exc:
                hint = "createos sandbox network ls shows what there is"
                raise Invalid(f"unknown network: {ref}", hint=hint, field="networks") from exc
            found[network.id] = network
        if len(found) > MOST_OF_A_SANDBOX:
            raise Invalid(f"a sandbox can be on {MOST_OF_A_SANDBOX} networks at a time", field="networks")
        return tuple(found.values())

    async def join(self, sandbox: Sandbox, networks: Sequence[PrivateNetwork]) -> None:
        """Write down the networks of a sandbox that is being created; its machine gets its cards when it runs."""
        for network in networks:
            await self._join(sandbox.id, network, Stage.MEMBER)

    async def reconcile(self) -> None:
        """Roll back what was begun and not finished, close what nobody owns, and restore what members lack."""
        await self._members.verify()
        for row in self._memberships.all():
            if row.stage is not Stage.MEMBER and row.sandbox_id not in self._locks.busy():
                await self._attempt(row, self._roll_back(row))
        async with self._bridging:
            bridges, ports = await self._members.there()
            for slot in ports - {row.slot for row in self._memberships.all()}:
                await self._members.close_port(slot)
            for slot in bridges - self._store.slots():
                await self._members.remove_bridge(slot)
        for row in self._memberships.all():
            if row.slot not in ports and self._sandboxes.state(row.sandbox_id) is State.RUNNING:
                await self._attempt(row, self._restore(row.sandbox_id))

    async def _attach(self, sandbox_id: str, network: PrivateNetwork) -> None:
        async with self._locks.hold(sandbox_id):
            require_running(self._sandboxes.get(sandbox_id).state)
            known = self._memberships.find(network.id, sandbox_id)
            if known and known.stage is Stage.MEMBER:
                return
            if known:
                await self._pull(known)
            row = await self._join(sandbox_id, network, Stage.JOINING)
            try:
                async with self._bridging:
                    await self._members.add_bridge(network.slot)
                await self._members.plug(row)
                await self._memberships.stage(row, Stage.MEMBER)
            except BaseException:
                with suppress(EngineError):
                    await self._pull(row)
                raise
        log.info("sandbox attached", sandbox=sandbox_id, network=network.id)

    async def _detach(self, sandbox_id: str, network: PrivateNetwork) -> None:
        async with self._locks.hold(sandbox_id):
            row = self._memberships.find(network.id, sandbox_id)
            if row is None or row.stage is Stage.JOINING:
                raise NotFound(f"the sandbox is not on network {network.name}")
            try:
                await self._pull(row)
            except HostFailed as exc:
                # It is cut off already; reconcile asks the guest for the card again until it has let go.
                log.warning("a guest holds on to its card", sandbox=sandbox_id, reason=exc.sentence)
        log.info("sandbox detached", sandbox=sandbox_id, network=network.id)

    async def _join(self, sandbox_id: str, network: PrivateNetwork, stage: Stage) -> Membership:
        numbers = self._members.segment(network.slot).capacity
        return await self._memberships.join(
            network.id, sandbox_id, stage=stage, most=MOST_OF_A_SANDBOX, ports=MOST_PORTS, numbers=numbers
        )

    async def _pull(self, row: Membership) -> None:
        """Leave a network: the row says so before anything is undone, and goes when all is."""
        await self._memberships.stage(row, Stage.LEAVING)
        await self._members.pull(row)
        await self._memberships.leave(row)

    async def _roll_back(self, row: Membership) -> None:
        async with self._locks.hold(row.sandbox_id):
            now = self._memberships.find(row.network_id, row.sandbox_id)
            if now and now.stage is not Stage.MEMBER:
                await self._pull(now)

    async def _restore(self, sandbox_id: str) -> None:
        async with self._locks.hold(sandbox_id):
            if self._sandboxes.get(sandbox_id).state is State.RUNNING:
                await self._members.adopt(sandbox_id)

    async def _attempt(self, row: Membership, action: Coroutine[Any, Any, None]) -> None:
        try:
            await action
        except EngineError as exc:
            log.warning("a membership could not be reconciled", sandbox=row.sandbox_id, reason=exc.sentence)

    async def _finished(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Wait for work that goes on to its end even when the caller goes away."""
        await asyncio.shield(self._background.start(name, work))


def _addressed(member: Member, ips: dict[str, str]) -> Member:
    return member if member.state is State.CREATING else replace(member, ip=ips.get(member.sandbox_id, ""))


def _in_use(name: str, count: int) -> str:
    return f"network {name} is used by {count} {'sandbox' if count == 1 else 'sandboxes'}"
