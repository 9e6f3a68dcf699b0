"""The clock of a guest that slept: set again until it is known to be right."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from createos_engine.services.identity import Identities


class _Guest:
    """Has its clock set, and answers after delays of which every call takes one; `lies_ns` is added to its answers."""

    def __init__(self, delays_s: list[float], lies_ns: int = 0) -> None:
        self._delays_s = delays_s
        self._lies_ns = lies_ns
        self.asked = 0

    async def wake(self, clock_unix_ns: int, entropy: bytes) -> int:
        self.asked += 1
        delay_s = self._delays_s.pop(0)
        begun = time.monotonic_ns()
        await asyncio.sleep(delay_s)
        return clock_unix_ns + time.monotonic_ns() - begun + self._lies_ns


async def _wake(guest: _Guest) -> int:
    return await Identities(cast("Any", None)).wake(cast("Any", guest))


async def test_an_answer_that_took_too_long_says_nothing_of_the_clock() -> None:
    guest = _Guest([0.2, 0.2, *[0.0] * 10])

    doubt_ns = await _wake(guest)

    assert doubt_ns <= 50_000_000
    assert guest.asked >= 3


async def test_a_clock_that_stays_wrong_is_said_to_be() -> None:
    guest = _Guest([0.0] * 12, lies_ns=5_000_000_000)

    assert await _wake(guest) > 4_000_000_000
    assert guest.asked == 12
