"""What both sides agreed on, on disk: a file of lines to which every agreement is added as soon as it is reached.

A process that is killed leaves at most a torn last line, which is ignored; at the start and at the end the file is
written anew, beside the old one, and takes its place whole. Only the owner can read it: it holds names of files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from createos_cli.sync.entries import Agreed, Kind, Version
from createos_cli.sync.failures import Stop

FORMAT = 1


class Agreements(Mapping[str, Agreed]):
    """What both sides have agreed on, by path; this one forgets: a copy is made once."""

    def __getitem__(self, path: str) -> Agreed:
        raise KeyError(path)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def agree(self, path: str, agreed: Agreed) -> None:
        """Keep an agreement."""

    def forget(self, path: str) -> None:
        """Neither side has it any more."""

    def flush(self) -> None:
        """Make what is new durable."""


class Manifest(Agreements):
    """The agreements by path. Only one process has a manifest open (state.py)."""

    def __init__(self, path: Path, pair: Mapping[str, str]) -> None:
        self._path = path
        self._pair = dict(pair)
        self._agreed: dict[str, Agreed] = {}
        self._lines: list[str] = []
        self._read()
        self.compact()

    def __getitem__(self, path: str) -> Agreed:
        return self._agreed[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._agreed)

    def __len__(self) -> int:
        return len(self._agreed)

    def agree(self, path: str, agreed: Agreed) -> None:
        """Keep an agreement."""
        if self._agreed.get(path) != agreed:
            self._agreed[path] = agreed
            self._lines.append(_line(path, agreed))

    def forget(self, path: str) -> None:
        """Neither side has it any more."""
        if self._agreed.pop(path, None) is not None:
            self._lines.append(json.dumps([path]))

    def flush(self) -> None:
        """Add what is new to the file."""
        if self._lines:
            with self._path.open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write("".join(f"{line}\n" for line in self._lines))
            self._lines.clear()

    def compact(self) -> None:
        """Write the file anew, without what is no longer true."""
        beside = self._path.with_suffix(".new")
        lines = (_line(path, agreed) for path, agreed in self._agreed.items())
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(json.dumps({"createos-sync": FORMAT, **self._pair}) + "\n")
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        self._lines.clear()

    def _read(self) -> None:
        try:
            lines = self._path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        except FileNotFoundError:
            return
        head = _decoded(lines[0])
        if not isinstance(head, dict) or head.get("createos-sync") != FORMAT:
            raise Stop(
                f"{self._path} cannot be read", hint="remove it to compare both sides anew; no file is lost by that"
            )
        # What follows the last newline was not written whole.
        for line in lines[1:-1]:
            with suppress(ValueError, TypeError, KeyError):
                self._take(_decoded(line))

    def _take(self, fields: Any) -> None:
        path, *rest = fields
        if not rest:
            self._agreed.pop(path, None)
            return
        kind, mode, size, digest, target, local, remote = rest
        versions = (Version(*version) if version else None for version in (local, remote))
        self._agreed[path] = Agreed(Kind(kind), mode, size, bytes.fromhex(digest), target, *versions)


def _line(path: str, agreed: Agreed) -> str:
    return json.dumps(
        [
            path,
            agreed.kind,
            agreed.mode,
            agreed.size,
            agreed.digest.hex(),
            agreed.target,
            agreed.local,
            agreed.remote,
        ]
    )


def _decoded(line: str) -> object:
    try:
        found: object = json.loads(line)
    except ValueError:
        return None
    return found
