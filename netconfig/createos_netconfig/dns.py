"""What guests are told when they ask for names: policy by who asks, before the answer leaves (design 10).

Names of private networks come first, from the `names` hook; a listed name is asked of the host's servers, and its
addresses are let through before the guest hears of them; any other name does not exist.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import dns.message
import dns.name
import dns.rcode
import structlog

from createos_netconfig import dns_messages
from createos_netconfig.dns_messages import BLOCKED, Cleaned, Question
from createos_netconfig.dns_upstream import NoAnswer
from createos_netconfig.errors import NetconfigError
from createos_netconfig.reasons import Reason
from createos_netconfig.rules import Address, Rules

log = structlog.get_logger(__name__)

LOCAL_DOMAIN = "fc.local"
_LOCAL_TTL_S = 5
_NEGATIVE_TTL_S = 5
_LONGEST_CACHED_S = 300
_MOST_CACHED = 4096

Names = Callable[[Address, str], Sequence[Address] | None]
"""(who asks, name in lower case without final dot) → its addresses, or None when the name is nobody's there."""


def no_names(_source: Address, _name: str) -> Sequence[Address] | None:
    """Know no private network."""
    return None


class Client(Protocol):
    """Who asks: the policy of one interface."""

    @property
    def rules(self) -> Rules:
        """What it may reach."""

    def learn(self, name: str, addresses: Sequence[Address], ttl_s: int) -> None:
        """Let the addresses of a listed name through for a time; NetconfigError when that is impossible."""

    def denied(self, reason: Reason, target: str) -> None:
        """Write down a name that was refused."""


@dataclass
class _Cached:
    cleaned: Cleaned
    since: float

    def age_s(self) -> float:
        return monotonic() - self.since

    def fresh(self) -> bool:
        return self.age_s() < min(self.cleaned.ttl_s, _LONGEST_CACHED_S)


class Asking(Protocol):
    """Who is asked."""

    def ask(self, question: dns.message.QueryMessage) -> Awaitable[dns.message.Message]:
        """Return an answer or raise NoAnswer."""


class Resolver:
    """Answers wire messages. Bounded: cache, chain, addresses, and one question to the outside for equal ones."""

    def __init__(
        self,
        upstream: Asking,
        client: Callable[[Address], Client | None],
        is_closed: Callable[[Address], bool],
        names: Names = no_names,
    ) -> None:
        self._upstream = upstream
        self._client = client
        self._is_closed = is_closed
        self.names = names
        self._cache: OrderedDict[tuple[dns.name.Name, int], _Cached] = OrderedDict()
        self._asked: dict[tuple[dns.name.Name, int], asyncio.Future[Cleaned]] = {}

    async def answer(self, wire: bytes, source: Address, *, stream: bool) -> bytes | None:
        """Return the answer to a message, None for what gets none: noise, and askers that are nobody's."""
        client = self._client(source)
        question = dns_messages.read_question(wire) if client else None
        if client is None or not isinstance(question, Question):
            return question if isinstance(question, bytes) else None
        return dns_messages.to_wire(question, await self._message(question, client, source), stream=stream)

    async def _message(self, question: Question, client: Client, source: Address) -> dns.message.Message:
        own = self.names(source, question.name)
        if own is not None:
            return dns_messages.of_addresses(question, own, _LOCAL_TTL_S)
        if question.name == LOCAL_DOMAIN or question.name.endswith(f".{LOCAL_DOMAIN}"):
            return dns_messages.refusal(question, dns.rcode.NXDOMAIN)
        if not client.rules.ports_of(question.name):
            client.denied(Reason.NAME, question.name)
            return dns_messages.refusal(question, dns.rcode.NXDOMAIN, BLOCKED)
        if question.emptied:
            return dns_messages.refusal(question, dns.rcode.NOERROR)
        try:
            cleaned, age_s = await self._cleaned(question)
            return self._admitted(question, client, cleaned, age_s)
        except NoAnswer:
            return dns_messages.refusal(question, dns.rcode.SERVFAIL)
        except NetconfigError as exc:
            log.warning("addresses could not be let through", name=question.name, reason=exc.reason)
            return dns_messages.refusal(question, dns.rcode.SERVFAIL)

    def _admitted(self, question: Question, client: Client, cleaned: Cleaned, age_s: int) -> dns.message.Message:
        """Return the answer, after its addresses were let through: the rules may have changed meanwhile."""
        if not client.rules.ports_of(question.name):
            return dns_messages.refusal(question, dns.rcode.NXDOMAIN, BLOCKED)
        if cleaned.closed:
            client.denied(Reason.REBINDING, question.name)
        if cleaned.addresses and client.rules.by_name:
            client.learn(question.name, cleaned.addresses, cleaned.ttl_s)
        return dns_messages.answer(question, cleaned, age_s=age_s)

    async def _cleaned(self, question: Question) -> tuple[Cleaned, int]:
        """Return records and their age in seconds, from the cache or from the outside."""
        key = question.key
        known = self._cache.get(key)
        if known and known.fresh():
            self._cache.move_to_end(key)
            return known.cleaned, int(known.age_s())
        asked = self._asked.get(key)
        if asked is None:
            asked = asyncio.ensure_future(self._ask(question))
            self._asked[key] = asked
            asked.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(asked), 0

    async def _ask(self, question: Question) -> Cleaned:
        answer = await self._upstream.ask(dns_messages.upstream_question(question))
        cleaned = dns_messages.clean(question, answer, self._is_closed, negative_ttl_s=_NEGATIVE_TTL_S)
        if cleaned.rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            self._cache[question.key] = _Cached(cleaned, monotonic())
            while len(self._cache) > _MOST_CACHED:
                self._cache.popitem(last=False)
        return cleaned
