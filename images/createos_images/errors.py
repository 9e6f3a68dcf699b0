"""The one error of this package."""

from __future__ import annotations


class ImageError(Exception):
    """A kernel, initramfs, agent or root file system could not be had.

    `reason` is for people, `hint` is the next step, `details` is what a program printed, for the log.
    """

    def __init__(self, reason: str, hint: str = "", *, details: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.details = details

    @property
    def sentence(self) -> str:
        """The reason and the next step in one text, as a person reads it."""
        return f"{self.reason}; {self.hint}" if self.hint else self.reason
