"""One SQLite file, opened once: reads on the event loop, writes on a thread of their own, in order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import sqlite_utils

from createos_engine.errors import HostFailed
from createos_engine.store.migrations import schema

T = TypeVar("T")
Row = sqlite3.Row


class Database:
    """The engine's database. WAL lets a read go on beside a write; a write is durable when `write` returns.

    A FULL commit costs 0.4 ms on an idle disk and far more on a busy one, hence the thread (design 18).
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open or create the file (0600) and bring its schema up to date; raise HostFailed when that is impossible.

        *read_only* is for those who only look, beside a daemon of whatever version: nothing is created or changed.
        """
        try:
            if read_only:
                self._reader = self._writer = _open(f"file:{path}?mode=ro")
            else:
                path.touch(mode=0o600)
                self._writer = _open(str(path))
                schema.apply(sqlite_utils.Database(self._writer))
                self._reader = _open(str(path))
        except (sqlite3.Error, OSError) as exc:
            raise HostFailed(f"the database {path} cannot be opened: {exc}", hint="createosd doctor") from exc
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Return all rows of a query."""
        return self._reader.execute(sql, parameters).fetchall()

    def look(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *question* finds out by reading."""
        return question(self._reader)

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run *change* in one transaction and return what it returns; any exception undoes all of it.

        A cancelled caller does not stop a change that has begun: it is committed or undone as a whole.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, change)

    def _transaction(self, change: Callable[[sqlite3.Connection], T]) -> T:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            result = change(self._writer)
        except BaseException:
            self._writer.rollback()
            raise
        self._writer.commit()
        return result

    def close(self) -> None:
        """Finish the writes that were handed in, then close the file."""
        self._thread.shutdown()
        self._writer.close()
        self._reader.close()


def _open(name: str) -> sqlite3.Connection:
    uri = name.startswith("file:")
    connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False, timeout=10, uri=uri)
    connection.row_factory = sqlite3.Row
    if uri:
        return connection
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection
