"""The egress rules of sandboxes: shown, replaced while everything runs, explained; and what they have refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from createos_netconfig.errors import NetconfigError
from createos_netconfig.explain import explain
from createos_netconfig.member import Refused
from createos_netconfig.rules import Address, parse

from createos_engine.errors import HostFailed, Invalid
from createos_engine.services.egress_rules import checked
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.machines import Machines
from createos_engine.services.network import Network
from createos_engine.store.egress import EgressStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.traffic import Denial, Explained
from createos_engine.words import Sandbox, User

log = structlog.get_logger(__name__)


class Egress:
    """Changes are in the row before they are in the kernel; one that the kernel refuses is taken back."""

    def __init__(
        self,
        store: EgressStore,
        sandboxes: SandboxStore,
        network: Network,
        machines: Machines,
        locks: SandboxLocks,
        closed: Callable[[Address], str],
    ) -> None:
        self._store = store
        self._sandboxes = sandboxes
        self._network = network
        self._machines = machines
        self._locks = locks
        self._closed = closed

    async def get(self, user: User, ref: str) -> Sandbox:
        """Return the sandbox, whose `egress` are its rules."""
        return self._sandboxes.find(user.id, ref)

    async def replace(self, user: User, ref: str, rules: Sequence[str]) -> Sandbox:
        """Replace the rules, at once where it runs, and return the sandbox; Invalid, Conflict when that cannot be."""
        wanted = checked(rules)
        sandbox_id = self._sandboxes.find(user.id, ref).id
        async with self._locks.hold(sandbox_id):
            before = self._sandboxes.get(sandbox_id)
            await self._store.replace(sandbox_id, wanted)
            try:
                self._network.renew(before.slot)
            except HostFailed:
                await self._store.replace(sandbox_id, before.egress)
                raise
            sandbox = self._sandboxes.get(sandbox_id)
            self._machines.record(sandbox)
        log.info("egress rules replaced", sandbox=sandbox_id, rules=len(wanted))
        return sandbox

    async def denials(self, user: User, ref: str) -> list[Denial]:
        """Return what a sandbox was refused lately, the latest last."""
        return [_denial(each) for each in self._network.refused(self._sandboxes.find(user.id, ref).slot)]

    async def explain(self, user: User, ref: str, host: str, port: int) -> Explained:
        """Return what would become of a connection, port 0 for any; Invalid (field host) when that is no host."""
        sandbox = self._sandboxes.find(user.id, ref)
        try:
            found = explain(parse(sandbox.egress), host, port, self._closed, self._network.learned(sandbox.slot))
        except NetconfigError as exc:
            raise Invalid(exc.reason, hint=exc.hint, field="host") from exc
        return Explained(found.allowed, found.why, found.rules)


def _denial(refused: Refused) -> Denial:
    return Denial(
        target=refused.target,
        protocol=refused.protocol,
        port=refused.port,
        code=refused.reason.name.lower(),
        reason=refused.reason.words,
        count=refused.count,
        first_at=refused.first,
        last_at=refused.last,
    )
