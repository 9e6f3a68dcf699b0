"""The S3 disks of sandboxes that have none."""

from __future__ import annotations

from collections.abc import Sequence


class NoDisks:
    """Attachments and mounts where nobody asks for any."""

    def wanted(self, user: object, wanted: Sequence[object]) -> tuple[object, ...]:
        """Return what a create names."""
        assert not wanted
        return ()

    async def join(self, sandbox: object, rows: Sequence[object]) -> None:
        """Write nothing down."""

    async def hold(self, sandbox_id: str) -> None:
        """Write nothing out."""
