"""Background work has one owner."""

from __future__ import annotations

import asyncio

import pytest
from createos_engine.errors import HostFailed
from createos_engine.services.background import Background


async def test_an_expected_failure_reaches_who_waits_and_nobody_else() -> None:
    background = Background()

    async def refuse() -> None:
        raise HostFailed("no")

    with pytest.raises(HostFailed):
        await background.start("refuse", refuse())

    assert not background.failed.done()
    await background.close()


async def test_a_bug_ends_the_daemon() -> None:
    background = Background()

    async def bug() -> None:
        raise ZeroDivisionError

    background.start("bug", bug())

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(background.failed, 60)
    await background.close()


async def test_a_turn_that_fails_does_not_end_the_turns() -> None:
    background, turns, thrice = Background(), [], asyncio.Event()

    async def job() -> None:
        turns.append(1)
        if len(turns) == 3:
            thrice.set()
        raise HostFailed("not now")

    background.every(0.001, "job", job)

    await asyncio.wait_for(thrice.wait(), 1)
    await background.close()


async def test_closing_cancels_and_waits_for_the_undo() -> None:
    background, begun, undone = Background(), asyncio.Event(), []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            undone.append(True)

    background.start("work", work())
    await begun.wait()

    await background.close()

    assert undone == [True]
