"""What answers at the gateway's addresses: names, and (relay) web traffic whose name must be seen first."""

from __future__ import annotations

from collections.abc import Sequence

from createos_netconfig.closed import Closed
from createos_netconfig.dns import Names, Resolver, no_names
from createos_netconfig.dns_listener import DnsListener
from createos_netconfig.dns_upstream import Upstream
from createos_netconfig.egress_base import Doors
from createos_netconfig.firewall import Firewall
from createos_netconfig.relay import Relay
from createos_netconfig.rules import Address


class Gateway:
    """The forwarder and the relay of one instance. While they are closed names fail; the kernel's rules stay."""

    def __init__(
        self, firewall: Firewall, closed: Closed, upstream: Sequence[Address], *, names: Names = no_names
    ) -> None:
        self._resolver = Resolver(Upstream(upstream), firewall.member, lambda address: bool(closed.why(address)), names)
        self._dns = DnsListener(self._resolver.answer)
        self._relay = Relay(firewall.member, closed)
        firewall.on_change(self._relay.changed)
        self._open = False

    def answer_names(self, names: Names) -> None:
        """Ask *names* first from now on: (who asks, name) → addresses, or None for a name it does not know."""
        self._resolver.names = names

    @property
    def port(self) -> int:
        """Where questions arrive, once it is open."""
        return self._dns.port

    async def open(self) -> Doors:
        """Begin to answer and return the ports that the firewall must let sandboxes in to; repeatable."""
        if not self._open:
            await self._dns.open()
            await self._relay.open()
            self._open = True
        return Doors(dns=self._dns.port, relay=self._relay.port)

    async def close(self) -> None:
        """Answer no more; the rules stay."""
        if self._open:
            self._open = False
            await self._dns.close()
            await self._relay.close()
