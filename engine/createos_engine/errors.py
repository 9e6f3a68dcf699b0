"""Every expected failure of the engine.

EngineError
├── Invalid            the request says something that is not allowed
├── Unauthenticated    no credential, or one we do not know
├── Forbidden          a credential that may not do this
├── NotFound           no such thing, or somebody else's
├── Conflict           the thing is in the wrong state for this
├── TooLarge           above a documented limit
├── NoSpace            the disk of the sandbox is full
├── NotListening       nothing in the sandbox answers there
├── TimedOut           what was waited for has not happened yet; asking again is fine
├── Unavailable        the host cannot do it now; nothing was done, trying again may help
└── HostFailed         a program, library or device of the host refused
    └── GuestFailed    the machine or its agent did not do what it must

A bug is not an EngineError: it is logged whole and answered as an internal error.
"""

from __future__ import annotations


class EngineError(Exception):
    """An expected failure: `reason` is for people, `hint` is the next step, `context` is for the log.

    `field` names the request field at fault; the API answers `{field: reason}` then.
    """

    def __init__(self, reason: str, *, hint: str = "", field: str = "", **context: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.field = field
        self.context = context

    @property
    def sentence(self) -> str:
        """The reason and the next step in one text, as a person reads it."""
        return f"{self.reason}; {self.hint}" if self.hint else self.reason


class Invalid(EngineError):
    """The request says something that is not allowed."""


class Unauthenticated(EngineError):
    """No credential, or one we do not know."""


class Forbidden(EngineError):
    """The credential is known and may not do this."""


class NotFound(EngineError):
    """No such thing, or it belongs to somebody else (the text is the same for both)."""


class Conflict(EngineError):
    """The thing is in the wrong state for this."""


class TooLarge(EngineError):
    """Above a documented limit."""


class NoSpace(EngineError):
    """The disk of the sandbox is full."""


class NotListening(EngineError):
    """Nothing in the sandbox answers there."""


class TimedOut(EngineError):
    """What was waited for has not happened yet. Asking again is fine: clients do (wire-api 8.9)."""


class Unavailable(EngineError):
    """The host cannot do it now. Nothing was done: clients may retry (wire-api 2.4)."""


class HostFailed(EngineError):
    """A program, library or device of the host refused."""


class GuestFailed(HostFailed):
    """The machine or its agent did not do what it must."""
