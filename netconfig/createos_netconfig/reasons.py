"""Why something was refused: numbers that rules write into a packet's mark, and the words people read."""

from __future__ import annotations

from enum import IntEnum

MARK_BASE = 0x43524500
"""Added to a reason in the mark of a packet that is about to be refused, to be told from other people's marks."""


class Reason(IntEnum):
    """What stands in the way of a destination."""

    UNLISTED = 1
    QUIC = 2
    UNNAMED = 3
    PRIVATE = 4
    METADATA = 5
    HOST = 6
    SANDBOX = 7
    SPOOFED = 8
    QUOTA = 9
    NAME = 10
    REBINDING = 11
    FORBIDDEN_NAME = 12
    HIDDEN_NAME = 13

    @property
    def mark(self) -> int:
        """The mark of a packet that is refused for this."""
        return MARK_BASE + self

    @property
    def words(self) -> str:
        """What people are told."""
        return _WORDS[self]


_WORDS = {
    Reason.UNLISTED: "no egress rule allows this destination",
    Reason.QUIC: "QUIC and plain UDP cannot be checked for the name that a rule asks for; TLS over TCP can",
    Reason.UNNAMED: "a rule allows this address by name only, and the connection did not say the name",
    Reason.PRIVATE: "private and special addresses are closed on this host",
    Reason.METADATA: "metadata services are closed to sandboxes",
    Reason.HOST: "the host itself is closed to sandboxes",
    Reason.SANDBOX: "other sandboxes are reached over private networks only",
    Reason.SPOOFED: "the sender said it was somebody else",
    Reason.QUOTA: "the bandwidth quota is used up",
    Reason.NAME: "no egress rule lists this name",
    Reason.REBINDING: "the name points to private or host addresses",
    Reason.FORBIDDEN_NAME: "the connection asked for a name that no egress rule allows there",
    Reason.HIDDEN_NAME: "the connection hid or left out the name that a rule asks for",
}


def of_mark(mark: int) -> Reason | None:
    """Return the reason in a packet's mark."""
    try:
        return Reason(mark - MARK_BASE)
    except ValueError:
        return None
