"""Checks of the network: nftables, forwarding, other firewalls. They look and change nothing."""

from __future__ import annotations

from pathlib import Path

from createos_engine.doctor.finding import Finding, failed, passed

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
