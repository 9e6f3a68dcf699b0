"""How far the daemon has come since it was started."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from createos_engine.errors import Unavailable
from createos_engine.words import Accelerator


@dataclass(frozen=True)
class BootFiles:
    """What every machine is started with; `accelerator_reason` says in a sentence how the accelerator was chosen.

    `digests` are of kernel and initramfs, which holds the agent. `tools` is the disk for guests that use S3, if there
    is one.
    """

    kernel: Path
    initramfs: Path
    cmdline: str
    accelerator: Accelerator
    accelerator_reason: str
    digests: tuple[str, ...] = ()
    tools: Path | None = None


class Progress:
    """Starting, ready, or held up by something that a person must put right."""

    def __init__(self) -> None:
        self._files: BootFiles | None = None
        self._ready = asyncio.Event()
        self.reason = "createosd is starting"
        self._remarks: dict[str, str] = {}

    @property
    def files(self) -> BootFiles | None:
        """What machines are started with, once that is known."""
        return self._files

    @property
    def remarks(self) -> tuple[str, ...]:
        """What does not work although creates do."""
        return tuple(filter(None, self._remarks.values()))

    def remark(self, subject: str, sentence: str) -> None:
        """Replace what is said of a subject; an empty sentence says that all is well."""
        self._remarks[subject] = sentence

    def found(self, files: BootFiles) -> None:
        """Machines could be started with these; what a dead daemon left is put in order before that is done."""
        self._files = files

    def ready(self, files: BootFiles) -> None:
        """Creates work from now on."""
        self._files, self.reason = files, ""
        self._ready.set()

    def held_up(self, reason: str) -> None:
        """Creates cannot work, and this is why."""
        self.reason = reason

    def require_ready(self) -> BootFiles:
        """Return what to start machines with, or raise Unavailable with what is still missing."""
        if self.reason or self._files is None:
            raise Unavailable(self.reason, hint="try again in a few seconds, or see createosd doctor")
        return self._files

    def require_files(self) -> BootFiles:
        """Return what to start machines with, be creates possible yet or not; raise Unavailable before it is known."""
        if self._files is None:
            raise Unavailable(self.reason, hint="try again in a few seconds, or see createosd doctor")
        return self._files

    async def wait_ready(self, deadline_s: float) -> None:
        """Wait until creates can work; raise Unavailable with what is still missing after *deadline_s* seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), deadline_s)
        self.require_ready()
