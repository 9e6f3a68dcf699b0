"""Checks of the network: nftables, forwarding, other firewalls. They look and change nothing."""

from __future__ import annotations

import os
from pathlib import Path

from createos_netconfig.errors import NetconfigError
from createos_netconfig.foreign import Obstacle, obstacles
from createos_netconfig.nft import Nft

from createos_engine.doctor.finding import Finding, failed, passed, warned

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def forwarding(switch: Path = FORWARDING) -> Finding:
    """The daemon turns forwarding on when it starts, so off is no fault."""
    try:
        on = switch.read_text().strip() == "1"
    except OSError as exc:
        return failed("forwarding", f"{switch} cannot be read: {exc.strerror}", "boot a kernel with IPv4")
    return passed(
        "forwarding", "IPv4 is forwarded" if on else "IPv4 is not forwarded; createosd turns it on as it starts"
    )


def nftables() -> Finding:
    """Ask the kernel for its tables, which is what rules need and changes nothing."""
    try:
        tables = Nft().list("tables")
    except OSError as exc:
        return failed("nftables", f"libnftables cannot be loaded: {exc}", "apt-get install libnftables1")
    except NetconfigError as exc:
        return failed("nftables", exc.reason, "modprobe nf_tables" if os.geteuid() == 0 else "sudo createosd doctor")
    ours = sum(table["table"]["name"].startswith("createos_") for table in tables)
    return passed("nftables", f"{len(tables)} tables, {ours} of them of createosd")


def firewalls() -> Finding:
    """Look for other people's chains that drop what sandboxes send; ours cannot overrule them (design 9)."""
    try:
        return blockers(obstacles(Nft()))
    except (OSError, NetconfigError) as exc:
        return warned("firewalls", f"other firewalls are not known: {exc}", "mend nftables first")


def blockers(found: list[Obstacle]) -> Finding:
    """Judge the chains that drop forwarded packets by default."""
    if not found:
        return passed("firewalls", "nothing else drops what sandboxes send")
    chains = ", ".join(obstacle.chain for obstacle in found)
    fix = " && ".join(dict.fromkeys(obstacle.fix for obstacle in found))
    return warned("firewalls", f"sandboxes reach nothing outside: dropped by the chain {chains}", fix)
