"""Everything on the host that carries an instance's tag: for leak checks."""

from __future__ import annotations

from dataclasses import dataclass

from createos_netconfig.links import Links
from createos_netconfig.names import Instance
from createos_netconfig.nft import Nft


@dataclass(frozen=True)
class Census:
    """Interface and table names."""

    interfaces: frozenset[str]
    tables: frozenset[str]


async def census(instance: Instance, links: Links, nft: Nft) -> Census:
    """Count what there is of an instance."""
    tables = [entry["table"] for entry in nft.list("tables") if "table" in entry]
    ours = {instance.table, instance.egress_table}
    names = frozenset(f"{table['family']} {table['name']}" for table in tables if table["name"] in ours)
    return Census(await links.tagged(), names)
