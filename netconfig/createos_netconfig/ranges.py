"""Addresses that are not the internet."""

from __future__ import annotations

PRIVATE_V4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
)
"""RFC 6890: the host's networks, its metadata service, multicast, reserved."""

PRIVATE_V6 = ("::/3", "2001::/32", "2002::/16", "4000::/2", "8000::/1")
"""All but global unicast, 2000::/3 (RFC 4291 2.4), and of that what a tunnel turns into IPv4: Teredo and 6to4."""

METADATA_V4 = ("169.254.169.254",)
METADATA_V6 = ("fd00:ec2::254",)
"""Where clouds hand out the host's own credentials: private, and refused even where the policy allows its network."""
