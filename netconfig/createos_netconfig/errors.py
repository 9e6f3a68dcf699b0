"""The one error of this package."""

from __future__ import annotations


class NetconfigError(Exception):
    """Something the kernel or nftables refused. `reason` is for people, `hint` is the next step."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
