"""Hearing at once that somebody has removed our tables: `nft flush ruleset` and firewalls that start again do."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self

from createos_netconfig.names import Instance

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_GROUP_NFTABLES = 7
_TABLE_DELETED = 10 << 8 | 2
_HEADER = struct.Struct("=IHHII")
_RECEIVE_BYTES = 1 << 20


class TableWatch:
    """Calls *gone* when a table of an instance was deleted, or may have been. `with` opens and closes it.

    Our own transactions delete tables too and make them again: whoever is called looks what is there.
    """

    def __init__(self, instance: Instance, gone: Callable[[], None]) -> None:
        self._name = instance.table.encode()
        self._gone = gone
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER)

    def __enter__(self) -> Self:
        self._netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        self._netlink.bind((0, 0))
        self._netlink.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)
        asyncio.get_running_loop().add_reader(self._netlink, self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._netlink)
        self._netlink.close()

    def _read(self) -> None:
        deleted = False
        while (heard := self._receive()) is not None:
            deleted = deleted or heard
        if deleted:
            self._gone()

    def _receive(self) -> bool | None:
        """Tell whether the next datagram deletes a table of ours; None when there is none."""
        try:
            data = self._netlink.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError as exc:
            if exc.errno != errno.ENOBUFS:
                raise
            # More has happened than the kernel could keep for us.
            return True
        return self._deletes(data)

    def _deletes(self, data: bytes) -> bool:
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if length < _HEADER.size:
                return False
            if kind == _TABLE_DELETED and self._name in data[:length]:
                return True
            data = data[length + 3 & ~3 :]
        return False
