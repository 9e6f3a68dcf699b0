"""Output of a guest that waits for a slow reader."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_SMALL_BYTES = 4_096
_JOINED_BYTES = 65_536
_PLENTY_PIECES = 1_024


class Data(NamedTuple):
    """A piece of output and the sub-channel it came on: 1 stdout, 2 stderr. No bytes: that sub-channel is closed."""

    sub: int
    data: bytes


class Inbox:
    """A queue whose memory is bounded by its bytes: small pieces are joined, since one byte alone costs a hundred.

    When more than a thousand pieces wait, their order between sub-channels gives way (two pipes have none anyway);
    within a sub-channel it never does.
    """

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, bytes | bytearray]] = deque()

    def __len__(self) -> int:
        return len(self._pieces)

    def put(self, sub: int, data: bytes) -> None:
        """Add a piece behind the others of its sub-channel."""
        if len(data) >= _SMALL_BYTES:
            self._pieces.append((sub, data))
            return
        last = self._last(sub)
        if isinstance(last, bytearray) and len(last) < _JOINED_BYTES:
            last += data
        else:
            self._pieces.append((sub, bytearray(data)))

    def close(self, sub: int) -> None:
        """Add the end of a sub-channel behind its pieces."""
        self._pieces.append((sub, b""))

    def get(self) -> Data:
        """Remove and return the oldest piece."""
        sub, data = self._pieces.popleft()
        return Data(sub, bytes(data))

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()

    def _last(self, sub: int) -> bytes | bytearray | None:
        """Return the last piece of a sub-channel if it is near enough the end."""
        near = 2 if len(self._pieces) > _PLENTY_PIECES else 1
        for back in range(1, min(near, len(self._pieces)) + 1):
            if self._pieces[-back][0] == sub:
                return self._pieces[-back][1]
        return None
