"""The world of netlab with a gateway that answers, an internet with names, and guests under rules."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Any, TypeVar

import dns.message
import dns.query
import dns.rcode
from createos_netconfig.closed import Closed
from createos_netconfig.firewall import Firewall
from createos_netconfig.gateway import Gateway
from createos_netconfig.nft import Nft
from createos_netconfig.rules import Address, parse
from createos_netconfig.ruleset import Policy

from tests.host.dnsserver import DnsServer, Records
from tests.host.netlab import POOL, Guest, Lab

T = TypeVar("T")

ALLOWED_V4, FORBIDDEN_V4, SHARED_V4, OTHER_V4 = "203.0.113.20", "203.0.113.21", "203.0.113.22", "203.0.113.23"
ALLOWED_V6, FORBIDDEN_V6 = "2001:db8:2::20", "2001:db8:2::21"
DNS_SERVER = "203.0.113.53"
GATEWAY = "169.254.77.1"
RECORDS: Records = {
    "allowed.test": [f"A {ALLOWED_V4}", f"AAAA {ALLOWED_V6}", 'TXT "hello"', "HTTPS 1 . alpn=h3"],
    "forbidden.test": [f"A {FORBIDDEN_V4}", f"AAAA {FORBIDDEN_V6}"],
    "www.wild.test": [f"A {OTHER_V4}"],
    "wild.test": [f"A {FORBIDDEN_V4}"],
    "alias.test": ["CNAME cdn.test"],
    "cdn.test": [f"A {ALLOWED_V4}"],
    "one.shared.test": [f"A {SHARED_V4}"],
    "two.shared.test": [f"A {SHARED_V4}"],
    "rebind.test": ["A 192.168.50.10", "A 10.77.0.3", "A 169.254.169.254", "A 127.0.0.1", "A 198.51.100.2"],
    "half.test": [f"A {ALLOWED_V4}", "A 192.168.50.10"],
    "rebind6.test": ["AAAA ::1", "AAAA fd50::10", "AAAA ::ffff:10.0.0.1", "AAAA 2001:db8:1::2", "AAAA fe80::1"],
    "big.test": [f"A 203.0.113.{last}" for last in range(100, 160)],
    "huge.test": ['TXT "' + "x" * 250 + '"'] * 1 + [f'TXT "{number}{"y" * 240}"' for number in range(12)],
}


class EgressLab(Lab):
    """`gateway` runs in a loop of its own thread, in the host's namespace, as it does in a daemon."""

    def __init__(self, closing: ExitStack, records: Records | None = None) -> None:
        super().__init__(Policy(), closing)
        self._taken: set[int] = set()
        self.dns = DnsServer(dict(records or RECORDS))
        closing.callback(self.dns.close)
        self.internet.ip(
            *(
                f"addr add {address}/32 dev lo"
                for address in (ALLOWED_V4, FORBIDDEN_V4, SHARED_V4, OTHER_V4, DNS_SERVER)
            ),
            *(f"addr add {address}/128 dev lo nodad" for address in (ALLOWED_V6, FORBIDDEN_V6)),
        )
        with self.internet.entered():
            self.dns.listen(DNS_SERVER)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gateway")
        self._thread.start()
        closing.callback(self._stop)
        self.names: Callable[[Address, str], Sequence[Address] | None] = lambda _source, _name: None
        self.gateway: Gateway
        self.start()

    def start(self) -> None:
        """Do what a daemon does that starts: it knows nothing of before."""
        self.firewall = Firewall(self.instance, POOL, self.policy, Nft())
        self.gateway = Gateway(
            self.firewall,
            Closed(POOL, self.policy.allow_private),
            [ip_address(DNS_SERVER)],
            names=self._named,
        )
        self.firewall.install(self.call(self.gateway.open()))

    def kill(self) -> None:
        """Do what the kernel does when a daemon dies: its sockets are gone, the rules are not."""
        self.call(self.gateway.close())

    def box(self, slot: int, *rules: str) -> Guest:
        """Return a guest under rules, in place before its link is there; one that had the slot is gone then."""
        if slot in self._taken:
            self.host.ip(f"link del {POOL.endpoint(self.instance, slot).interface}")
            self.firewall.expel(POOL.endpoint(self.instance, slot))
        self._taken.add(slot)
        self.firewall.admit(POOL.endpoint(self.instance, slot), parse(rules))
        return self.guest(slot, admitted=False)

    def change(self, guest: Guest, *rules: str) -> None:
        """Replace the rules of a guest, from the thread that a daemon would do it in."""

        async def change() -> None:
            self.firewall.change(guest.endpoint, parse(rules))

        self.call(change())

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def _named(self, source: Address, name: str) -> Sequence[Address] | None:
        return self.names(source, name)

    def _run(self) -> None:
        with self.host.entered():
            self._loop.run_forever()

    def _stop(self) -> None:
        self.call(self.gateway.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def lookup(guest: Guest, name: str, kind: str = "A", *, tcp: bool = False, at: str = GATEWAY) -> list[str]:
    """Return what a guest is told: the values, or the code in one word when there are none."""
    answer = query(guest, name, kind, tcp=tcp, at=at)
    values = [item.to_text() for rrset in answer.answer if rrset.rdtype.name == kind for item in rrset]
    return sorted(values) or [dns.rcode.to_text(answer.rcode())]


def query(guest: Guest, name: str, kind: str = "A", *, tcp: bool = False, at: str = GATEWAY) -> dns.message.Message:
    """Return the whole answer to a question of a guest."""
    question = dns.message.make_query(name, kind, use_edns=0, payload=1232)
    with guest.namespace.entered():
        ask = dns.query.tcp if tcp else dns.query.udp
        return ask(question, at, timeout=20)
