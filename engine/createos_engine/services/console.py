"""What a guest printed on its serial console. It is hostile text: nothing but printable ASCII leaves this module."""

from __future__ import annotations

from pathlib import Path

LIMIT_BYTES = 2**20
_READ_BYTES = 8192
_WIDTH = 200


def last_lines(console: Path, count: int = 8) -> list[str]:
    """Return the last non-empty lines, each cut to 200 characters; none when there is no log."""
    try:
        with console.open("rb") as log:
            log.seek(max(0, console.stat().st_size - _READ_BYTES))
            text = log.read(_READ_BYTES).decode("ascii", "replace")
    except OSError:
        return []
    lines = ("".join(c if " " <= c <= "~" else " " for c in line).strip() for line in text.splitlines())
    return [line[:_WIDTH] for line in lines if line][-count:]


def trim(console: Path, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Cut a log above the limit down to its last 8 KiB, and tell whether that was done.

    A guest may print without end; QEMU appends, so that what it writes next goes behind what is left here.
    """
    try:
        size = console.stat().st_size
        if size <= limit_bytes:
            return False
        with console.open("rb+") as log:
            log.seek(size - _READ_BYTES)
            tail = log.read(_READ_BYTES)
            log.truncate(0)
            log.seek(0)
            log.write(tail)
    except FileNotFoundError:
        return False
    return True
