"""SHA-256 digests, as they appear in file names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def of_file(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_text(text: str) -> str:
    """Return the digest of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def of_files(root: Path, files: Iterable[Path]) -> str:
    """Return one digest of the names (below *root*) and bytes of *files*, in any order."""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(f"{file.relative_to(root).as_posix()}\0{of_file(file)}\n".encode())
    return total.hexdigest()
