"""What a guest printed on its serial console. It is hostile text: nothing but printable ASCII leaves this module."""

from __future__ import annotations

from pathlib import Path

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
