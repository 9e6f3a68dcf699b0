"""How a synchronisation fails: one step, the connection, or all of it."""

from __future__ import annotations

import errno
from enum import IntEnum

from createos_cli.errors import CliError


class Code(IntEnum):
    """Why a step was not done, as in PROTOCOL.md."""

    CHANGED = 1
    NOT_EMPTY = 2
    DENIED = 3
    NO_SPACE = 4
    BAD_PATH = 5
    UNSUPPORTED = 6
    GONE = 7
    OTHER = 9


class Stop(CliError):
    """Synchronising must not go on. Nothing is lost; the hint says how to go on."""


class Disconnected(Exception):
    """The connection to the guest is gone; a new one may work."""


class Refused(Exception):
    """One step was not done, for this reason."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


_CODES = {
    errno.ENOENT: Code.CHANGED,
    errno.EEXIST: Code.CHANGED,
    errno.ENOTDIR: Code.CHANGED,
    errno.ELOOP: Code.CHANGED,
    errno.EISDIR: Code.CHANGED,
    errno.ENOTEMPTY: Code.NOT_EMPTY,
    errno.EACCES: Code.DENIED,
    errno.EPERM: Code.DENIED,
    errno.EROFS: Code.DENIED,
    errno.ENOSPC: Code.NO_SPACE,
    errno.EDQUOT: Code.NO_SPACE,
    errno.ENAMETOOLONG: Code.BAD_PATH,
    errno.EINVAL: Code.BAD_PATH,
}


def refused(exc: OSError) -> Refused:
    """Translate what the system said about a local step."""
    return Refused(_CODES.get(exc.errno or 0, Code.OTHER), exc.strerror or str(exc))
