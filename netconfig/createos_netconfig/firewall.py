"""The firewall of one instance. It lives in the kernel: a daemon that dies takes no rule with it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence

from createos_netconfig import egress, egress_base, hearing, kernel_state, ruleset
from createos_netconfig.addresses import Endpoint, Pool, link_local
from createos_netconfig.conntrack import forget
from createos_netconfig.egress import Grant, Learned
from createos_netconfig.egress_base import CLOSED, Doors
from createos_netconfig.errors import NetconfigError
from createos_netconfig.kernel_state import Held
from createos_netconfig.member import Member, Refused
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command, Nft
from createos_netconfig.rules import OPEN, Address, Rules
from createos_netconfig.ruleset import Policy


class Firewall:
    """Installs the rules, lets endpoints in and out, and says where they may go; each call is one transaction."""

    def __init__(self, instance: Instance, pool: Pool, policy: Policy, nft: Nft) -> None:
        self._instance = instance
        self._pool = pool
        self._policy = policy
        self._nft = nft
        self._members: dict[int, Member] = {}
        self._owners: dict[Address, Member] = {}
        self._held: dict[Address, Held] = {}
        self._metered: set[str] = set()
        self._out: set[str] = set()
        self._changed: list[Callable[[Member], None]] = []

    def install(self, doors: Doors = CLOSED) -> None:
        """Put the rules in place, or replace those of an earlier daemon; members and what they may reach stay."""
        members = [self._pool.endpoint(self._instance, self._instance.slot(name)) for name in sorted(self.members())]
        base = self._base(members, doors)
        known = self._nft.list(f"table inet {self._instance.egress_table}")
        try:
            self._nft.apply(base + egress_base.install(self._instance, doors, present=bool(known)))
        except NetconfigError:
            # The table of another version: what it knows cannot be kept, and everybody's rules are put in again.
            anew = egress_base.remove(self._instance) + egress_base.install(self._instance, doors, present=False)
            self._nft.apply(base + anew)
            known = []
        if not self._members:
            self._held, self._metered = kernel_state.held(self._instance, known), kernel_state.metered(known)
        # Nobody has this address: a kernel that cannot forget flows is told about now, not when a sandbox ends.
        forget(self._pool.v4.network_address)

    def restore(self, doors: Doors, remaining_bytes: Callable[[int], int | None]) -> None:
        """Put in again, in one transaction, what somebody has removed: all rules, for all that this daemon let in.

        *remaining_bytes* says what is left of a slot's quota. What was counted since it was read is lost.
        """
        commands = self._base([member.endpoint for member in self._members.values()], doors)
        commands += egress_base.remove(self._instance)
        commands += egress_base.install(self._instance, doors, present=False)
        quotas = {slot: remaining_bytes(slot) for slot in self._members}
        for slot, member in self._members.items():
            commands += egress.enter(self._instance, member.endpoint) + egress.put(self._instance, member.grant)
            commands += egress.learn(self._instance, member.endpoint, _longest(list(member.book.entries())))
            left = quotas[slot]
            commands += [] if left is None else egress.meter(self._instance, member.endpoint, left)
        self._nft.apply(commands)
        self._held = {}
        self._metered = {self._members[slot].endpoint.interface for slot, left in quotas.items() if left is not None}

    def installed(self) -> bool:
        """Tell whether all our tables are there; a firewall that starts again on this host may have removed them."""
        found = {(each["table"]["family"], each["table"]["name"]) for each in self._nft.list("tables")}
        ours = {(family, self._instance.table) for family in ("inet", "arp", "netdev")}
        return ours | {("inet", self._instance.egress_table)} <= found

    def hear(self, endpoint: Endpoint) -> None:
        """Let the host hear the link of an endpoint that is let in, once it is there; repeatable."""
        self._nft.apply(hearing.hear(self._instance, endpoint.interface))

    def admit(self, endpoint: Endpoint, rules: Rules = OPEN, *, remaining_bytes: int | None = None) -> None:
        """Let an endpoint's own packets in, and out under its rules, at most so many bytes; repeatable."""
        self._out.discard(endpoint.interface)
        commands = ruleset.admit(self._instance, endpoint) + egress.enter(self._instance, endpoint)
        commands += self._metering(endpoint, remaining_bytes)
        known = self._members.get(endpoint.slot)
        if known and known.rules == rules:
            self._nft.apply(commands)
        else:
            self._put(endpoint, rules, commands)
        self._note_metered(endpoint, remaining_bytes)

    def change(self, endpoint: Endpoint, rules: Rules) -> None:
        """Replace what an endpoint may reach: what stays allowed goes on, what does not ends at its next packet."""
        self._put(endpoint, rules, egress.enter(self._instance, endpoint))

    def meter(self, endpoint: Endpoint, remaining_bytes: int | None) -> None:
        """Let so many bytes more out of an endpoint that is let in, or as many as it likes."""
        self._nft.apply(self._metering(endpoint, remaining_bytes))
        self._note_metered(endpoint, remaining_bytes)

    def expel(self, endpoint: Endpoint) -> None:
        """Refuse everything from an endpoint and forget its flows; repeatable.

        Whom this daemon has put out already costs nothing: the kernel takes 20 ms for every removal.
        """
        if endpoint.interface in self._out:
            return
        out = hearing.ignore(self._instance, endpoint.interface)
        out += self._taken(endpoint) + self._unmetered(endpoint) + egress.leave(self._instance, endpoint)
        try:
            self._nft.apply(ruleset.expel(self._instance, endpoint) + out)
        except NetconfigError:
            # Where somebody has removed our rules nothing passes, and this is not put in again.
            if self.installed():
                raise
        self._forget(endpoint)
        for address in (endpoint.ipv4, endpoint.ipv6):
            forget(address)
        self._out.add(endpoint.interface)

    def members(self) -> frozenset[str]:
        """Return the names of the interfaces that are let in."""
        found = self._nft.list(f"table inet {self._instance.table}")
        sets = [entry["set"] for entry in found if "set" in entry and entry["set"]["name"] == "members"]
        return frozenset(element["concat"][0] for known in sets for element in known.get("elem", []))

    def member(self, address: Address) -> Member | None:
        """Return who has an address, its link-local one included."""
        return self._owners.get(address)

    def at(self, slot: int) -> Member | None:
        """Return who has a slot."""
        return self._members.get(slot)

    def slots(self) -> list[int]:
        """Return the slots of all that this daemon has let in."""
        return sorted(self._members)

    def on_change(self, told: Callable[[Member], None]) -> None:
        """Call *told* after the rules of a member have changed, or it has gone: then it may reach nothing."""
        self._changed.append(told)

    def refused(self, endpoint: Endpoint) -> list[Refused]:
        """Return what an endpoint was refused within the last hour, the latest last."""
        tables = (self._instance.table, self._instance.egress_table)
        listings = [entry for table in tables for entry in self._nft.list(f"table inet {table}")]
        known = self._members.get(endpoint.slot)
        found = kernel_state.refused(listings, endpoint.interface) + (known.refused() if known else [])
        return sorted(found, key=lambda each: each.last)

    def counted(self) -> dict[str, tuple[int, int]]:
        """Return the bytes that each interface has sent out and got since it was let in."""
        sent, got = (
            kernel_state.counted(self._nft.list(f"set inet {self._instance.egress_table} {name}"))
            for name in ("spent", "got")
        )
        return {name: (sent[name], got.get(name, 0)) for name in sent}

    def remove(self) -> None:
        """Remove all rules; repeatable."""
        tables = ruleset.remove(self._instance) + egress_base.remove(self._instance) + hearing.remove(self._instance)
        self._nft.apply(tables)
        self._members, self._owners, self._held = {}, {}, {}
        self._metered = set()

    def _base(self, members: Sequence[Endpoint], doors: Doors) -> list[Command]:
        """Return the commands for the base rules, and for the ears of members whose links are there."""
        links = {name for _, name in socket.if_nameindex()}
        heard = [each.interface for each in members if each.interface in links]
        base = ruleset.install(self._instance, self._pool, self._policy, members, doors)
        return base + hearing.install(self._instance, heard)

    def _put(self, endpoint: Endpoint, rules: Rules, commands: list[Command]) -> None:
        known = self._members.get(endpoint.slot)
        grant = Grant(endpoint, rules, secrets.randbelow(2**32 - 1) + 1)
        before = list(known.book.entries()) if known else self._held_by(endpoint).learned
        after = self._still_allowed(rules, before)
        gone = [each for each in before if (each.address, each.port) not in {(new.address, new.port) for new in after}]
        commands += self._taken_fixed(endpoint) + egress.put(self._instance, grant)
        commands += egress.unlearn(self._instance, endpoint, gone) + egress.learn(
            self._instance, endpoint, _longest(after)
        )
        self._nft.apply(commands)
        self._forget_held(endpoint)
        member = known or Member(grant, self._teach)
        member.grant = grant
        member.book.replace(after)
        self._members[endpoint.slot] = member
        self._owners |= dict.fromkeys(_addresses(endpoint), member)
        self._tell(member)

    def _still_allowed(self, rules: Rules, learned: Sequence[Learned]) -> list[Learned]:
        """Return what the names of learned addresses bring in under other rules, with the time they had left."""
        if not rules.by_name:
            return []
        found = {
            (new.address, new.port, new.name): new
            for each in learned
            for new in egress.wanted(rules, each.name, [each.address], each.seconds)
        }
        return list(found.values())

    def _taken(self, endpoint: Endpoint) -> list[Command]:
        known = self._members.get(endpoint.slot)
        learned = list(known.book.entries()) if known else self._held_by(endpoint).learned
        return self._taken_fixed(endpoint) + egress.unlearn(self._instance, endpoint, learned)

    def _taken_fixed(self, endpoint: Endpoint) -> list[Command]:
        known = self._members.get(endpoint.slot)
        return egress.take(self._instance, known.grant) if known else self._held_by(endpoint).fixed

    def _metering(self, endpoint: Endpoint, remaining_bytes: int | None) -> list[Command]:
        wanted = [] if remaining_bytes is None else egress.meter(self._instance, endpoint, remaining_bytes)
        return self._unmetered(endpoint) + wanted

    def _note_metered(self, endpoint: Endpoint, remaining_bytes: int | None) -> None:
        (self._metered.discard if remaining_bytes is None else self._metered.add)(endpoint.interface)

    def _unmetered(self, endpoint: Endpoint) -> list[Command]:
        return egress.unmeter(self._instance, endpoint) if endpoint.interface in self._metered else []

    def _held_by(self, endpoint: Endpoint) -> Held:
        parts = [self._held.get(address, Held()) for address in (endpoint.ipv4, endpoint.ipv6)]
        return Held([each for part in parts for each in part.fixed], [each for part in parts for each in part.learned])

    def _forget_held(self, endpoint: Endpoint) -> None:
        for address in (endpoint.ipv4, endpoint.ipv6):
            self._held.pop(address, None)

    def _forget(self, endpoint: Endpoint) -> None:
        self._forget_held(endpoint)
        self._metered.discard(endpoint.interface)
        member = self._members.pop(endpoint.slot, None)
        for address in _addresses(endpoint):
            self._owners.pop(address, None)
        if member:
            self._tell(member)

    def _teach(self, member: Member, learned: Sequence[Learned]) -> None:
        self._nft.apply(egress.learn(self._instance, member.endpoint, learned))

    def _tell(self, member: Member) -> None:
        for told in self._changed:
            told(member)


def _addresses(endpoint: Endpoint) -> tuple[Address, ...]:
    return endpoint.ipv4, endpoint.ipv6, link_local(endpoint.mac)


def _longest(learned: Sequence[Learned]) -> list[Learned]:
    """Return one entry for each address and port: the kernel knows one time for each, whoever brought it in."""
    found: dict[tuple[Address, int], Learned] = {}
    for each in sorted(learned, key=lambda one: one.seconds):
        found[each.address, each.port] = each
    return list(found.values())
