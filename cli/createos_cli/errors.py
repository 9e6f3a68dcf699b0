"""Everything the command line tells its user about and then exits with 1.

CliError
├── Usage            the command line or the environment says something that is not allowed
├── NotSignedIn      the server wants a credential and there is none
├── Unreachable      nothing answered, or it stopped answering
├── BadAnswer        something answered that is not the sandbox API
├── ApiFailure       the server refused; the code follows from the HTTP status
├── NoMatch          a reference that fits no sandbox
└── Ambiguous        a reference that fits several

Cancelled is not an error: the user said no, and the exit code is 0 (cli-behaviour 1.3).
"""

from __future__ import annotations

from http import HTTPStatus

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    429: "rate_limited",
}

HINTS = {
    400: "check the value",
    401: "sign in again: createos login",
    403: "sign in again: createos login",
    404: "check the id or name; createos sandbox list --all shows what there is",
}

# By what the server says, where that tells more than the status.
MESSAGE_HINTS = {
    "sandbox is paused": "resume it first: createos sandbox resume NAME",
    "sandbox is pausing": "wait until it is paused, then: createos sandbox resume NAME",
    "sandbox is resuming": "try again in a few seconds",
    "sandbox is creating": "try again in a few seconds",
    "network not found": "createos sandbox network ls shows what there is",
    "disk not found": "createos sandbox disk ls shows what there is",
    "template not found": "createos sandbox template ls shows what there is",
    "checkpoint not found": "createos sandbox checkpoint ls shows what there is",
}


class CliError(Exception):
    """An expected failure: what was wrong, the next step, and the machine word of cli-behaviour 1.5."""

    code = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Usage(CliError):
    """The command line or the environment says something that is not allowed."""


class NotSignedIn(CliError):
    """The server wants a credential and there is none."""


class Unreachable(CliError):
    """Nothing answered, or it stopped answering."""


class BadAnswer(CliError):
    """Something answered that is not the sandbox API."""


class ApiFailure(CliError):
    """The server refused. *status* is the HTTP status, *request_id* finds the request in the daemon's log."""

    def __init__(self, message: str, *, status: int, request_id: str = "") -> None:
        super().__init__(message, hint=MESSAGE_HINTS.get(message) or HINTS.get(status, ""))
        self.status = status
        self.request_id = request_id
        self.code = code_of(status)


class NoMatch(CliError):
    """A reference that fits no sandbox; treated as a 404."""

    code = "not_found"


class Ambiguous(CliError):
    """A reference that fits several sandboxes; treated as a 400."""

    code = "bad_request"


class Cancelled(Exception):
    """The user left a prompt or answered no."""


class OutputClosed(Exception):
    """Whoever read our output has left; not an OSError, because typer would take that for its own (exit code 1)."""


def code_of(status: int) -> str:
    """Return the machine word for an HTTP status (cli-behaviour 1.5)."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error"
    return CODES.get(status, "api_error")
