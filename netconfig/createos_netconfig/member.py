"""One sandbox as the firewall knows it: its rules, what names have brought in, what was refused lately."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from createos_netconfig.addresses import Endpoint
from createos_netconfig.egress import Grant, Learned, wanted
from createos_netconfig.errors import NetconfigError
from createos_netconfig.reasons import Reason
from createos_netconfig.rules import Address, Rules

MOST_LEARNED = 4096
_MOST_REFUSED = 256
_LONGEST_TEXT = 253
# A client may use an address for a while after its time: it is let through a little longer than it was promised.
_GRACE_S, _SHORTEST_S = 60, 60
# An address that has this much more time than it needs is not renewed in the kernel.
_SLACK = 2

Key = tuple[Address, int]


@dataclass
class Refused:
    """Something that was refused, how often and when."""

    reason: Reason
    target: str
    protocol: str
    port: int
    first: datetime
    last: datetime
    count: int = 1


class Book:
    """Which names brought in which addresses, and until when (monotonic seconds)."""

    def __init__(self) -> None:
        self._until: dict[Key, dict[str, float]] = {}

    def add(self, learned: Learned) -> bool:
        """Write an address down; tell whether the kernel has to be told, because it is new or soon over."""
        now = monotonic()
        names = self._until.setdefault((learned.address, learned.port), {})
        held_until = max(names.values(), default=0.0)
        names[learned.name] = max(names.get(learned.name, 0.0), now + learned.seconds)
        return held_until < now + learned.seconds / _SLACK

    def forget_expired(self) -> None:
        """Drop what the kernel has dropped by itself."""
        now = monotonic()
        for key, names in list(self._until.items()):
            kept = {name: until for name, until in names.items() if until > now}
            if kept:
                self._until[key] = kept
            else:
                del self._until[key]

    def entries(self) -> Iterator[Learned]:
        """Return everything with the time that is left."""
        now = monotonic()
        for (address, port), names in self._until.items():
            for name, until in names.items():
                if until > now:
                    yield Learned(address, port, int(until - now) + 1, name)

    def replace(self, entries: Sequence[Learned]) -> None:
        """Know these and nothing else."""
        self._until = {}
        for each in entries:
            self.add(each)

    def keys(self) -> set[Key]:
        """Return what is in the kernel because of this book."""
        return set(self._until)


class Member:
    """A sandbox that is let out under rules."""

    def __init__(self, grant: Grant, teach: Callable[[Member, Sequence[Learned]], None]) -> None:
        self.grant = grant
        self.book = Book()
        self._teach = teach
        self._refused: OrderedDict[tuple[Reason, str, str, int], Refused] = OrderedDict()

    @property
    def endpoint(self) -> Endpoint:
        """Its interface and addresses."""
        return self.grant.endpoint

    @property
    def rules(self) -> Rules:
        """What it may reach."""
        return self.grant.rules

    def learn(self, name: str, addresses: Sequence[Address], ttl_s: int) -> None:
        """Let the addresses of a listed name through before it hears of them; NetconfigError when that fails."""
        seconds = max(ttl_s, _SHORTEST_S) + _GRACE_S
        self.book.forget_expired()
        fresh = wanted(self.rules, name, addresses, seconds)
        if len(self.book.keys() | {(each.address, each.port) for each in fresh}) > MOST_LEARNED:
            raise NetconfigError(f"{self.endpoint.interface} has asked for more than {MOST_LEARNED} addresses")
        if new := [each for each in fresh if self.book.add(each)]:
            self._teach(self, new)

    def denied(self, reason: Reason, target: str, protocol: str = "", port: int = 0) -> None:
        """Write down what was refused; the same again only counts. Bounded: the oldest are forgotten."""
        now, shown = datetime.now(UTC), target[:_LONGEST_TEXT]
        key = reason, shown, protocol, port
        known = self._refused.pop(key, None)
        if known:
            known.count, known.last = known.count + 1, now
        self._refused[key] = known or Refused(reason, shown, protocol, port, now, now)
        while len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)

    def refused(self) -> list[Refused]:
        """Return what was refused by us, the latest last; what the kernel refused is in the kernel's sets."""
        return list(self._refused.values())
