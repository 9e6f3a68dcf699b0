"""Runs checks at once; one that breaks or takes too long is a finding itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from createos_engine.doctor.finding import Finding, failed
from createos_engine.errors import EngineError


@dataclass(frozen=True)
class Check:
    """A named question to the machine. One that has not answered within `deadline_s` is given up."""

    name: str
    ask: Callable[[], Awaitable[Finding]]
    deadline_s: float = 10


def quick(name: str, ask: Callable[[], Finding]) -> Check:
    """Return a check that reads files and answers at once, so that it may block the event loop for a moment."""

    async def answer() -> Finding:
        return ask()

    return Check(name, answer)


def blocking(name: str, ask: Callable[[], Finding], deadline_s: float = 10) -> Check:
    """Return a check that may take long and knows no await: it gets a thread."""
    return Check(name, lambda: asyncio.to_thread(ask), deadline_s)


async def run(checks: Sequence[Check]) -> list[Finding]:
    """Ask all questions at once and return the answers in the order of the questions."""
    return list(await asyncio.gather(*(_answer(check) for check in checks)))


async def _answer(check: Check) -> Finding:
    try:
        async with asyncio.timeout(check.deadline_s):
            return await check.ask()
    except TimeoutError:
        return failed(check.name, f"no answer within {check.deadline_s:g} s", "look at dmesg and the machine's load")
    except PermissionError as exc:
        return failed(check.name, f"this user may not look: {exc}", "sudo createosd doctor")
    except EngineError as exc:
        return failed(check.name, exc.reason, exc.hint)
    except Exception as exc:
        return failed(
            check.name, f"the check itself broke: {exc!r}", "report this as a bug, with createosd doctor --json"
        )
