"""A connection that was taken over from HTTP, as everything below the API sees it."""

from __future__ import annotations

from typing import Protocol


class Duplex(Protocol):
    """Bytes both ways, each way with an end of its own. Whoever took it over closes or aborts it."""

    async def read(self) -> bytes:
        """Return what has come, at most some hundred KiB; empty at the peer's end-of-file.

        Nothing more than that is kept: a peer that is not read stands still. Raises ConnectionError when the peer has
        gone away.
        """

    async def write(self, data: bytes) -> None:
        """Send *data*; wait while the peer does not read. Raises ConnectionError when the peer has gone away."""

    def write_eof(self) -> None:
        """Tell the peer that nothing more comes; it may go on sending."""

    async def gone(self) -> None:
        """Return when the peer has gone away altogether, or the connection was closed here."""

    async def close(self) -> None:
        """Send what was written and hang up; a peer that does not take it within some seconds is cut off."""

    def abort(self) -> None:
        """Hang up at once; what was not sent is dropped."""
