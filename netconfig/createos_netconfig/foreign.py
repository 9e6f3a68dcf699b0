"""Other people's rules that would drop what ours let through: an accept of ours does not override their drop."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from createos_netconfig import sysctl
from createos_netconfig.names import Instance
from createos_netconfig.nft import Command, Nft

_ROUTED_FAMILIES = ("inet", "ip", "ip6")
_OUR_TABLE = re.compile(r"createos_([a-z0-9]{4})")
_HOOKS = ("forward", "input")
_TARGET = re.compile(r'"(?:jump|goto)": \{"target": "([^"]+)"\}')
_FIREWALLD = "firewalld"
# It has base chains of the same hooks that only look at what Docker and others have sent on.
_FIREWALLD_CHAINS = ("filter_INPUT", "filter_FORWARD")
# Before the first engine has started its tag is not known.
_ANY_PREFIX = "c"


@dataclass(frozen=True)
class Obstacle:
    """A chain of somebody else that drops by default, and the command that makes it let our links pass.

    `hook` is forward, for what sandboxes send outside and to each other, or input, for what they ask the gateway:
    names, and web traffic under rules that list names.
    """

    chain: str
    fix: str
    hook: str = "forward"


def obstacles(nft: Nft) -> list[Obstacle]:
    """Return the chains that would drop packets of sandboxes, without those that were told to let them pass.

    What iptables-legacy has set up is not seen: nftables does not know of it.
    """
    return find(nft.list("ruleset"), bridged=sysctl.bridged_packets_are_filtered())


def find(objects: list[Command], *, bridged: bool = False) -> list[Obstacle]:
    """Return the obstacles among listed nft objects; touches nothing. An obstacle is there once for each engine.

    *bridged* says that these chains see bridged packets too (bridge-nf-call-iptables, which Docker turns on): then they
    drop what members of a private network send each other, and must let the bridges pass as well.
    """
    chains = [entry["chain"] for entry in objects if "chain" in entry]
    names = {(chain["family"], chain["table"], chain["name"]) for chain in chains}
    rules = [entry["rule"] for entry in objects if "rule" in entry]
    return [
        _obstacle(chain, names, prefix)
        for chain in chains
        if _drops(chain)
        for prefix in _prefixes(chains, bridged=bridged, hook=chain["hook"])
        if not _passes(chain, rules, prefix)
    ]


def _drops(chain: Command) -> bool:
    """Tell whether what no rule accepts is dropped; firewalld's policy is accept, and its last rule rejects."""
    if (
        chain.get("hook") not in _HOOKS
        or chain.get("type", "filter") != "filter"
        or chain["family"] not in _ROUTED_FAMILIES
        or _OUR_TABLE.fullmatch(chain["table"])
    ):
        return False
    if chain["table"] == _FIREWALLD:
        return str(chain["name"]) in _FIREWALLD_CHAINS
    return chain.get("policy") == "drop"


def _prefixes(chains: list[Command], *, bridged: bool, hook: str) -> list[str]:
    tables = {chain["table"] for chain in chains}
    instances = [Instance(found[1]) for found in map(_OUR_TABLE.fullmatch, sorted(tables)) if found]
    known = [instance.prefix for instance in instances]
    if hook == "input":
        # Nothing is opened to the host itself for links whose names are not known.
        return known
    return [*known, *(each.bridge_pattern.removesuffix("*") for each in instances if bridged)] or [_ANY_PREFIX]


def _passes(chain: Command, rules: list[Command], prefix: str) -> bool:
    """Tell whether a rule for our interfaces, which is what each fix adds, is on the way of this chain."""
    here = [rule for rule in rules if (rule["family"], rule["table"]) == (chain["family"], chain["table"])]
    said: dict[str, list[str]] = {}
    for rule in here:
        said.setdefault(rule["chain"], []).append(json.dumps(rule.get("expr", [])))
    reached, ahead = set(), {str(chain["name"])}
    while ahead:
        reached |= ahead
        ahead = {target for name in ahead for text in said.get(name, []) for target in _TARGET.findall(text)} - reached
    return any(f'"{prefix}*"' in text for name in reached for text in said.get(name, []))


def _obstacle(chain: Command, names: set[tuple[str, str, str]], prefix: str) -> Obstacle:
    family, table, name, hook = chain["family"], chain["table"], chain["name"], chain["hook"]
    target, links = f"{family} {table} {name}", f"{prefix}+"
    if table == _FIREWALLD:
        zone = f"firewall-cmd --permanent --zone=trusted --add-interface={links}"
        return Obstacle(target, f"{zone} && firewall-cmd --reload", hook)
    if hook == "forward" and (family, table, "DOCKER-USER") in names:
        add = f"{'ip6tables' if family == 'ip6' else 'iptables'} -I DOCKER-USER"
        return Obstacle(target, f"{add} -i {links} -j ACCEPT && {add} -o {links} -j ACCEPT", hook)
    if _of_ufw(names, family, table):
        return Obstacle(target, f"ufw {'allow' if hook == 'input' else 'route allow'} in on {links}", hook)
    ways = ("iifname",) if hook == "input" else ("iifname", "oifname")
    fixes = [f"nft insert rule {target} {way} '\"{prefix}*\"' accept" for way in ways]
    return Obstacle(target, " && ".join(fixes), hook)


def _of_ufw(names: set[tuple[str, str, str]], family: str, table: str) -> bool:
    """Tell whether ufw made the table; its IPv6 chains are called ufw6-."""
    return any((family, table, f"{ufw}-user-forward") in names for ufw in ("ufw", "ufw6"))
