"""A createosd that kills itself at a step: `python -m tests.chaos.dying_daemon STEP`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from createos_engine import logs
from createos_engine.daemon import running_daemon
from createos_engine.services.steps import Step, Steps
from createos_engine.settings import load


class Deadly(Steps):
    """Ends the process at one step, without a word."""

    def __init__(self, last: Step) -> None:
        self._last = last

    def reach(self, step: Step) -> None:
        """Die, if this is the one."""
        if step is self._last:
            os.kill(os.getpid(), signal.SIGKILL)


async def _serve(last: Step) -> None:
    async with running_daemon(load(), Deadly(last)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    logs.configure("debug")
    asyncio.run(_serve(Step(sys.argv[1])))
