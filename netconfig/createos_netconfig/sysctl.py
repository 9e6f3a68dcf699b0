"""Settings of the kernel's network stack under /proc/sys/net (kernel document networking/ip-sysctl)."""

from __future__ import annotations

from pathlib import Path

from createos_netconfig.errors import NetconfigError

_NET = Path("/proc/sys/net")
_V6 = "ipv6/conf"
_STRICT = {
    # The host answers for the gateway only, never for another of its addresses.
    "ipv4/conf/{}/arp_ignore": "1",
    "ipv4/conf/{}/arp_announce": "2",
    "ipv4/conf/{}/proxy_arp": "0",
    "ipv4/conf/{}/rp_filter": "1",
    "ipv4/conf/{}/route_localnet": "0",
    "ipv4/conf/{}/accept_source_route": "0",
    "ipv4/conf/{}/accept_redirects": "0",
    "ipv4/conf/{}/send_redirects": "0",
    "ipv6/conf/{}/accept_ra": "0",
    "ipv6/conf/{}/accept_redirects": "0",
    "ipv6/conf/{}/accept_source_route": "-1",
    # The gateway is the link's only address; one made from the MAC would come and go on its own.
    "ipv6/conf/{}/addr_gen_mode": "1",
}

# 8: answer for no address at all (kernel document networking/ip-sysctl).
_MUTE = {"arp_ignore": "8", "arp_announce": "2"}


def harden(interface: str) -> None:
    """Make the host say and believe as little as possible on an interface."""
    families = ("ipv4", "ipv6") if has_ipv6(interface) else ("ipv4",)
    for name, value in _STRICT.items():
        if name.startswith(families):
            _set(name.format(interface), value)


def mute(interface: str) -> None:
    """Make the host neither speak nor listen on an interface: a bridge and its ports belong to the guests."""
    if _get(f"{_V6}/{interface}/disable_ipv6") is not None:
        _set(f"{_V6}/{interface}/disable_ipv6", "1")
    for name in ("arp_ignore", "arp_announce", "accept_source_route", "accept_redirects", "route_localnet"):
        _set(f"ipv4/conf/{interface}/{name}", _MUTE.get(name, "0"))


def bridged_packets_are_filtered() -> bool:
    """Tell whether the host's IP filters see what bridges forward (kernel module br_netfilter)."""
    return "1" in {_get(f"bridge/bridge-nf-call-{tables}") for tables in ("iptables", "ip6tables")}


def has_ipv6(interface: str) -> bool:
    """Tell whether the kernel speaks IPv6 there; it may be off for the machine (ipv6.disable=1) or by setting."""
    return _get(f"{_V6}/{interface}/disable_ipv6") == "0"


def enable_forwarding() -> None:
    """Let the host route IPv4, and IPv6 where there is any; what it learns from routers itself stays."""
    _set("ipv4/ip_forward", "1")
    if _get(f"{_V6}/all/forwarding") == "0":
        _keep_router_advertisements()
        _set(f"{_V6}/all/forwarding", "1")


def _keep_router_advertisements() -> None:
    """Let interfaces that heed routers go on: 1 means "unless forwarding", and their default route would be dropped."""
    for settings in (_NET / _V6).iterdir():
        name = f"{_V6}/{settings.name}/accept_ra"
        if settings.name not in ("all", "default") and _get(name) == "1":
            _set(name, "2")


def _get(name: str) -> str | None:
    try:
        return (_NET / name).read_text().strip()
    except OSError:
        return None


def _set(name: str, value: str) -> None:
    if _get(name) == value:
        return
    try:
        (_NET / name).write_text(value)
    except OSError as exc:
        raise NetconfigError(f"{_NET / name} cannot be set to {value}: {exc.strerror}") from exc
