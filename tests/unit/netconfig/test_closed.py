from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from createos_netconfig.addresses import Pool
from createos_netconfig.closed import Closed

POOL = Pool(IPv4Network("198.18.0.0/24"), IPv6Network("2001:db8:77::/64"))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        *(
            ("192.0.2.1", ""),
            ("2001:db8::1", ""),
            ("10.1.2.3", "private"),
            ("fd00::1", "private"),
            ("0.0.0.0", "private"),
        ),
        *(("169.254.169.254", "metadata"), ("fd00:ec2::254", "metadata"), ("198.18.0.9", "sandbox")),
        *(("2001:db8:77::9", "sandbox"), ("::ffff:192.0.2.1", "private"), ("64:ff9b::c000:201", "private")),
        *(("127.0.0.1", "host"), ("::1", "host"), ("172.20.1.1", "")),
    ],
)
def test_an_address_is_closed_for_a_reason(address: str, why: str) -> None:
    closed = Closed(POOL, (ip_network("172.20.0.0/16"), ip_network("127.0.0.0/8")))

    assert closed.why(ip_address(address)) == why
