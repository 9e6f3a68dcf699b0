"""Checks of the network: nftables, forwarding, other firewalls. They look and change nothing."""

from __future__ import annotations

import os
from pathlib import Path

from createos_netconfig import latch
from createos_netconfig.errors import NetconfigError
from createos_netconfig.foreign import Obstacle, obstacles
from createos_netconfig.nft import Nft

from createos_engine.doctor.finding import Finding, failed, passed, warned

_WITHOUT = {"forward": "sandboxes reach nothing outside", "input": "sandboxes get no answer to names"}
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


def closing() -> Finding:
    """Load the filters that keep links closed while our rules are missing, and let them go again."""
    try:
        latch.check()
    except NetconfigError as exc:
        return failed("closing", exc.reason, exc.hint if os.geteuid() == 0 else "sudo createosd doctor")
    return passed("closing", "links stay closed when somebody else empties the ruleset")


def firewalls() -> Finding:
    """Look for other people's chains that drop what sandboxes send; ours cannot overrule them (design 9)."""
    try:
        return blockers(obstacles(Nft()))
    except (OSError, NetconfigError) as exc:
        return warned("firewalls", f"other firewalls are not known: {exc}", "mend nftables first")


def blockers(found: list[Obstacle]) -> Finding:
    """Judge the chains that drop by default what sandboxes send outside, or ask the gateway."""
    if not found:
        return passed("firewalls", "nothing else drops what sandboxes send")
    said = "; ".join(
        f"{_WITHOUT[hook]}: dropped by the chain {', '.join(chains)}"
        for hook in _WITHOUT
        if (chains := list(dict.fromkeys(obstacle.chain for obstacle in found if obstacle.hook == hook)))
    )
    return warned("firewalls", said, " && ".join(dict.fromkeys(obstacle.fix for obstacle in found)))
