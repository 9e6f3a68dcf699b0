"""The part of wiring.py that is about the network of sandboxes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from createos_netconfig.addresses import Pool
from createos_netconfig.closed import Closed
from createos_netconfig.firewall import Firewall
from createos_netconfig.gateway import Gateway
from createos_netconfig.names import Instance
from createos_netconfig.nft import Nft
from createos_netconfig.resolvers import host_resolvers
from createos_netconfig.ruleset import Policy

from createos_engine.errors import Invalid
from createos_engine.settings import Settings


def make_firewall(settings: Settings, instance: Instance) -> tuple[Pool, Firewall, Gateway, Closed]:
    """Return addresses, rules, the gateway of names and relays, and what is closed to all; Invalid for a setting."""
    try:
        resolvers = tuple(map(ip_address, settings.resolvers)) or host_resolvers()
        policy = Policy(tuple(map(ip_network, settings.allow_private)))
    except ValueError as exc:
        raise Invalid(f"a setting is wrong: {exc}", hint="correct resolvers or allow_private") from exc
    pool = Pool(settings.subnet_v4, settings.subnet_v6)
    firewall = Firewall(instance, pool, policy, Nft())
    closed = Closed(pool, policy.allow_private)
    return pool, firewall, Gateway(firewall, closed, resolvers), closed
