"""The firewall of one instance. It lives in the kernel: a daemon that dies takes no rule with it."""

from __future__ import annotations

from createos_netconfig import ruleset
from createos_netconfig.addresses import Endpoint, Pool
from createos_netconfig.conntrack import forget
from createos_netconfig.names import Instance
from createos_netconfig.nft import Nft
from createos_netconfig.ruleset import Policy


class Firewall:
    """Installs the rules, and lets endpoints in and out; each call is one transaction."""

    def __init__(self, instance: Instance, pool: Pool, policy: Policy, nft: Nft) -> None:
        self._instance = instance
        self._pool = pool
        self._policy = policy
        self._nft = nft

    def install(self) -> None:
        """Put the rules in place, or replace those of an earlier daemon, with the members they have."""
        members = [self._pool.endpoint(self._instance, self._instance.slot(name)) for name in sorted(self.members())]
        self._nft.apply(ruleset.install(self._instance, self._pool, self._policy, members))
        # Nobody has this address: a kernel that cannot forget flows is told about now, not when a sandbox ends.
        forget(self._pool.v4.network_address)

    def admit(self, endpoint: Endpoint) -> None:
        """Let an endpoint's own packets in; repeatable."""
        self._nft.apply(ruleset.admit(self._instance, endpoint))

    def expel(self, endpoint: Endpoint) -> None:
        """Refuse everything from an endpoint and forget its flows; repeatable."""
        self._nft.apply(ruleset.expel(self._instance, endpoint))
        for address in (endpoint.ipv4, endpoint.ipv6):
            forget(address)

    def members(self) -> frozenset[str]:
        """Return the names of the interfaces that are let in."""
        found = self._nft.list(f"table inet {self._instance.table}")
        sets = [entry["set"] for entry in found if "set" in entry and entry["set"]["name"] == "members"]
        return frozenset(element["concat"][0] for known in sets for element in known.get("elem", []))

    def remove(self) -> None:
        """Remove every rule of this instance."""
        self._nft.apply(ruleset.remove(self._instance))
