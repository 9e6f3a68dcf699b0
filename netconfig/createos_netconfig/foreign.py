"""Other people's rules that would drop what ours let through: an accept of ours does not override their drop."""

from __future__ import annotations

from dataclasses import dataclass

from createos_netconfig.nft import Command, Nft


@dataclass(frozen=True)
class Obstacle:
    """A forward chain of somebody else that drops by default, and the command that makes it let our links pass."""

    chain: str
    fix: str


def obstacles(nft: Nft) -> list[Obstacle]:
    """Return the chains that would drop forwarded packets of sandboxes."""
    return find(nft.list("chains"))


def find(objects: list[Command]) -> list[Obstacle]:
    """Return the obstacles among listed nft chains; touches nothing."""
    chains = [entry["chain"] for entry in objects if "chain" in entry]
    names = {(chain["family"], chain["table"], chain["name"]) for chain in chains}
    dropping = [chain for chain in chains if chain.get("hook") == "forward" and chain.get("policy") == "drop"]
    return [_obstacle(chain, names) for chain in dropping if not chain["table"].startswith("createos_")]


def _obstacle(chain: Command, names: set[tuple[str, str, str]]) -> Obstacle:
    family, table, name = chain["family"], chain["table"], chain["name"]
    target = f"{family} {table} {name}"
    if (family, table, "DOCKER-USER") in names:
        program = "ip6tables" if family == "ip6" else "iptables"
        rule = f"{program} -I DOCKER-USER -i c+ -j ACCEPT && {program} -I DOCKER-USER -o c+ -j ACCEPT"
        return Obstacle(target, rule)
    if table == "firewalld":
        return Obstacle(target, "firewall-cmd --permanent --zone=trusted --add-interface=c+ && firewall-cmd --reload")
    if (family, table, "ufw-user-forward") in names:
        return Obstacle(target, "ufw default allow routed")
    return Obstacle(
        target, f"nft insert rule {target} iifname 'c*' accept; nft insert rule {target} oifname 'c*' accept"
    )
