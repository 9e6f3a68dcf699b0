"""Logs of builds: one file of JSON lines an attempt, read while it grows."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from createos_engine.paths import Paths
from createos_engine.store.rows import to_text, to_time
from createos_engine.template_words import Build, BuildStatus, LogLine

LIMIT_BYTES = 16 * 2**20
HEARTBEAT_S = 15.0
_CUT = "the log has reached {} MiB: what comes now is not kept"
_FINAL = (BuildStatus.READY, BuildStatus.FAILED)


class BuildLogs:
    """Writes logs from the threads of builds and reads them in the event loop."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._loop = asyncio.get_running_loop()
        self._grown: dict[Path, asyncio.Event] = {}

    def open(self, build: Build) -> Callable[[str], None]:
        """Return what writes a line to the attempt's log, from any thread; lines behind the limit are dropped."""
        path = self._path(build)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

        def say(line: str) -> None:
            with _appending(path) as file:
                room = LIMIT_BYTES - file.tell()
                if room > 0:
                    text = line if len(line) < room else _CUT.format(LIMIT_BYTES // 2**20)
                    file.write(json.dumps({"ts": to_text(datetime.now(UTC)), "line": text}) + "\n")
            self._loop.call_soon_threadsafe(self._wake, path)

        return say

    def read(self, build: Build) -> list[LogLine]:
        """Return the lines so far."""
        return self._lines(build, 0)[0]

    async def follow(
        self, build: Build, status: Callable[[], BuildStatus]
    ) -> AsyncIterator[LogLine | BuildStatus | None]:
        """Yield lines as they come, None in every silence of 15 s, and the status when the attempt has ended."""
        path, offset = self._path(build), 0
        while True:
            grown = self._grown.setdefault(path, asyncio.Event())
            ended = status()
            lines, offset = self._lines(build, offset)
            for line in lines:
                yield line
            if ended in _FINAL:
                yield ended
                return
            if not lines:
                try:
                    await asyncio.wait_for(grown.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield None

    def finished(self, build: Build) -> None:
        """Wake those who follow: the attempt has ended."""
        self._wake(self._path(build))

    def forget(self, template_id: str) -> None:
        """Remove the logs of a template that nobody can ask for any more; blocks."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._paths.build_logs / template_id)

    def keep_only(self, template_ids: Collection[str]) -> None:
        """Remove the logs of all other templates; blocks. Nothing may be submitted meanwhile."""
        for directory in self._paths.build_logs.glob("*"):
            if directory.name not in template_ids:
                self.forget(directory.name)

    def _wake(self, path: Path) -> None:
        if grown := self._grown.pop(path, None):
            grown.set()

    def _lines(self, build: Build, offset: int) -> tuple[list[LogLine], int]:
        """Return the whole lines from *offset* bytes on, and where the next one begins."""
        data = b""
        with suppress(FileNotFoundError), self._path(build).open("rb") as file:
            file.seek(offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        said = (json.loads(line) for line in whole.splitlines())
        return [LogLine(to_time(one["ts"]), one["line"], build.attempt) for one in said], offset + len(whole)

    def _path(self, build: Build) -> Path:
        return self._paths.build_log(build.template_id, build.attempt)


def _appending(path: Path) -> TextIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")
