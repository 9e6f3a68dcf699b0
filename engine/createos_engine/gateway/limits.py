"""Patience with those who knock with wrong keys."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from time import monotonic

# Who is refused more often than this is answered slowly, until the account has filled up again.
_TRIES = 60.0
_TRIES_BACK_EACH_S = 1.0
_SLOWLY_S = 1.0
_ADDRESSES = 4_096


class Patience:
    """Slows guessing down without locking anybody out: on loopback all users of the machine share one address."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def refused(self, address: str) -> None:
        """Count a refusal and wait if there were too many from there."""
        now = monotonic()
        left, since = self._left.pop(address, (_TRIES, now))
        left = min(_TRIES, left + (now - since) * _TRIES_BACK_EACH_S) - 1
        self._left[address] = (max(left, 0.0), now)
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)
        if left < 0:
            await asyncio.sleep(_SLOWLY_S)
