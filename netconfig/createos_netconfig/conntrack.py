"""What the kernel remembers of flows, by ctnetlink (linux/netfilter/nfnetlink_conntrack.h)."""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

from createos_netconfig.errors import NetconfigError

_NETLINK_NETFILTER = 12
_DELETE = 1 << 8 | 2
_REQUEST_AND_ACK = 0x01 | 0x04
_NESTED = 0x8000
_TUPLES = _TUPLE_ORIGINAL, _TUPLE_REPLY = 1, 2
_TUPLE_IP = 1
_IP_SOURCE = {4: 1, 6: 3}
_FILTER = 25
_FILTER_BY_IP_SOURCE = 1
_NLMSG_ERROR = 2
_ANSWER_BYTES = 4096


def forget(address: IPv4Address | IPv6Address) -> None:
    """Forget the flows that an address opened or answered: who has it next must not get what comes for them.

    Filters are known since Linux 5.8; an older kernel refuses, with NetconfigError, and forgets nothing.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
        for side in _TUPLES:
            netlink.send(_deletion(address, side))
            _check(netlink.recv(_ANSWER_BYTES), address)


def _deletion(address: IPv4Address | IPv6Address, side: int) -> bytes:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    source = _attribute(_IP_SOURCE[address.version], address.packed)
    wanted = _attribute(side | _NESTED, _attribute(_TUPLE_IP | _NESTED, source))
    flags = [_attribute(each, struct.pack("=I", _FILTER_BY_IP_SOURCE if each == side else 0)) for each in _TUPLES]
    body = struct.pack("=BBH", family, 0, 0) + wanted + _attribute(_FILTER | _NESTED, b"".join(flags))
    return struct.pack("=IHHII", 16 + len(body), _DELETE, _REQUEST_AND_ACK, 1, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _check(answer: bytes, address: IPv4Address | IPv6Address) -> None:
    kind = struct.unpack_from("=H", answer, 4)[0]
    code = -struct.unpack_from("=i", answer, 16)[0] if kind == _NLMSG_ERROR else errno.EPROTO
    if code not in (0, errno.ENOENT):
        reason = f"the flows of {address} could not be forgotten: {os.strerror(code)}"
        raise NetconfigError(reason, "modprobe nf_conntrack_netlink, on Linux 5.8 or later")
