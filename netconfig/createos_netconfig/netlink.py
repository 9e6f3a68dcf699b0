"""A connection to the kernel's interfaces, and what links and bridges both ask of it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from createos_netconfig.errors import NetconfigError
from createos_netconfig.latch import Latch, loaded
from createos_netconfig.names import Instance

_EVERY_PROTOCOL = 0x0003


class Netlink:
    """The interfaces of one instance in the network namespace it is used in. `async with` opens and closes netlink.

    Needs the event loop of asyncio itself: uvloop refuses netlink sockets.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._netlink = AsyncIPRoute()

    async def __aenter__(self) -> Self:
        await self._netlink.setup_endpoint()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._netlink.close()

    async def _names(self) -> list[str]:
        """Return the names of all interfaces, whosever they are."""
        with netlink_errors("the interfaces could not be listed"):
            return [str(link.get("ifname")) async for link in await self._netlink.get_links()]

    def _index(self, interface: str) -> int | None:
        """Return the number of an interface; asking netlink by name lists all interfaces there are."""
        try:
            return socket.if_nametoindex(interface)
        except OSError:
            return None

    async def _close(self, index: int, latch: Latch) -> None:
        """Put a latch on a link: it is closed from now on wherever no rule of ours opens it. Repeatable."""
        try:
            await self._netlink.tc("add", kind="clsact", index=index)
        except NetlinkError as exc:
            if exc.code != errno.EEXIST:
                raise NetconfigError(f"links cannot be kept closed: {exc}", "modprobe sch_ingress cls_bpf") from exc
        with loaded(latch) as programs:
            for side, name, handle in programs:
                options = {"fd": handle, "name": name, "direct_action": True, "protocol": _EVERY_PROTOCOL}
                await self._netlink.tc(
                    "replace-filter", kind="bpf", index=index, parent=side, handle=1, prio=1, **options
                )

    async def _remove(self, interface: str) -> None:
        """Remove an interface with its addresses and routes; one that is gone already is fine."""
        with netlink_errors(f"{interface} could not be removed"):
            index = self._index(interface)
            if index is None:
                return
            try:
                await self._netlink.link("del", index=index)
            except NetlinkError as exc:
                if exc.code != errno.ENODEV:
                    raise


@contextmanager
def netlink_errors(doing: str) -> Iterator[None]:
    """Turn what the kernel refuses into NetconfigError, once."""
    try:
        yield
    except NetlinkError as exc:
        raise NetconfigError(f"{doing}: {exc}") from exc
