"""The DNS servers this host uses."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

# systemd-resolved writes a loopback address into the first and the real servers into the second.
FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def upstream_resolvers(files: Iterable[Path] = FILES) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the servers of the first file that names any outside this host; none when no file does."""
    for file in files:
        if found := _servers(file):
            return found
    return ()


def host_resolvers(files: Iterable[Path] = FILES) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the servers outside this host, else the one that runs on it: a program of the host can ask that."""
    known = tuple(files)
    return upstream_resolvers(known) or next(filter(None, map(_all_servers, known)), ())


def _servers(file: Path) -> tuple[IPv4Address | IPv6Address, ...]:
    return tuple(address for address in _all_servers(file) if _is_outside(address))


def _all_servers(file: Path) -> tuple[IPv4Address | IPv6Address, ...]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    words = (line.split() for line in lines)
    addresses = (_address(word[1]) for word in words if len(word) > 1 and word[0] == "nameserver")
    return tuple(dict.fromkeys(address for address in addresses if address))


def _is_outside(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether others than this host can be meant; 0.0.0.0 means this host (resolv.conf(5))."""
    plain = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
    return not (plain.is_loopback or plain.is_link_local or plain.is_unspecified or plain.is_multicast)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None
