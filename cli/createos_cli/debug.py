"""What `--debug` shows: every request and answer, with secrets left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.client import responses

from createos_cli.wire import Request, Response

SECRET_KEYS = frozenset({"token", "envs", "env", "stdin", "access_key", "secret_key", "credentials"})
SHOWN_CHARACTERS = 2000
ENDS_FROM = 8


class PrintedTrace:
    """Prints exchanges through *say*, one line each and one for a body."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def sent(self, request: Request) -> None:
        """Print the request line, the masked key and the body."""
        key = request.headers.get("X-Api-Key")
        self._say(f"> {request.method} {request.path}" + (f"  X-Api-Key: {mask(key)}" if key else ""))
        if isinstance(request.body, bytes):
            self._say(f"> {_body(json.loads(request.body))}")

    def answered(self, response: Response, took_s: float, document: object) -> None:
        """Print status, time and request id, and the body unless it is a stream."""
        request_id = response.headers.get("x-request-id", "none")
        reason = responses.get(response.status, "")
        self._say(f"< {response.status} {reason}  {took_s * 1000:.0f} ms  request id {request_id}")
        if document is not None:
            self._say(f"< {_body(document)}")


def mask(secret: str) -> str:
    """Keep the first 6 and last 4 characters of a key longer than 8 (cli-behaviour 1.2)."""
    return f"{secret[:6]}****{secret[-4:]}" if len(secret) > ENDS_FROM else "****"


def redact(document: object) -> object:
    """Return the document with the values of secret keys replaced."""
    if isinstance(document, dict):
        return {key: "****" if key in SECRET_KEYS and value else redact(value) for key, value in document.items()}
    return [redact(item) for item in document] if isinstance(document, list) else document


def _body(document: object) -> str:
    text = json.dumps(redact(document), ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"
