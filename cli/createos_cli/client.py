"""The sandbox API as the commands see it: JSend envelopes in, plain data out, refusals as one class of error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from createos_cli.credentials import Credential
from createos_cli.errors import ApiFailure, BadAnswer, NotSignedIn
from createos_cli.profile import Endpoint
from createos_cli.wire import Request, Response, Transport, Upgraded

JsonObject = dict[str, Any]

ANSWER_S = 300.0
HEARTBEAT_S = 60.0
REQUEST_ID_HEADERS = ("x-request-id", "x-fc-request-id")


class Trace(Protocol):
    """Hears of every exchange; `--debug` prints them."""

    def sent(self, request: Request) -> None:
        """Called before a request leaves."""

    def answered(self, response: Response, took_s: float, document: object) -> None:
        """Called with an answer; *document* is None for a stream."""


class Client:
    """One server, one identity. Every method raises a CliError for anything but success."""

    def __init__(
        self,
        endpoint: Endpoint,
        transport: Transport,
        credential: Credential | None = None,
        *,
        trace: Trace | None = None,
        on_stale: Callable[[], None] | None = None,
        auto_resume: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self._transport = transport
        self._credential = credential
        self._trace = trace
        self._on_stale = on_stale
        self._auto_resume = auto_resume

    def get(self, path: str, **query: object) -> JsonObject:
        """GET one object."""
        return self._object("GET", f"{path}?{urlencode(query)}" if query else path, None, ANSWER_S)

    def rows(self, path: str, **query: object) -> list[JsonObject]:
        """GET one page of a paginated list (wire-api 2.2)."""
        rows = self.get(path, **query).get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._bad_answer(path)
        return rows

    def post(self, path: str, body: JsonObject, *, silence_s: float | None = ANSWER_S) -> JsonObject:
        """POST an object; *silence_s* is how long the server may take, None for ever."""
        return self._object("POST", path, body, silence_s)

    def patch(self, path: str, body: JsonObject) -> JsonObject:
        """PATCH one thing."""
        return self._object("PATCH", path, body, ANSWER_S)

    def delete(self, path: str) -> JsonObject:
        """DELETE one thing."""
        return self._object("DELETE", path, None, ANSWER_S)

    def stream(self, path: str, body: JsonObject) -> Iterator[JsonObject]:
        """POST and return the NDJSON frames as they come; lines that are not JSON objects are left out."""
        return self._frames("POST", path, body)

    def follow(self, path: str, **query: object) -> Iterator[JsonObject]:
        """GET the NDJSON frames of a path as they come."""
        return self._frames("GET", f"{path}?{urlencode(query)}", None)

    def text(self, path: str, **query: object) -> Iterable[bytes]:
        """GET what is no JSON, in pieces."""
        return self._opened("GET", f"{path}?{urlencode(query)}" if query else path, None).pieces

    def _frames(self, method: str, path: str, body: JsonObject | None) -> Iterator[JsonObject]:
        pieces = self._opened(method, path, body).pieces
        return (frame for line in lines(pieces) if isinstance(frame := _decode(line), dict))

    def _opened(self, method: str, path: str, body: JsonObject | None) -> Response:
        """Return an answer that is read while it comes, or raise what the server refuses."""
        began = monotonic()
        response = self._send(method, path, body, HEARTBEAT_S)
        if self._trace:
            self._trace.answered(response, monotonic() - began, None)
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise failure(response, _decode(b"".join(response.pieces)))
        return response

    def put(self, path: str, body: JsonObject) -> JsonObject:
        """PUT an object."""
        return self._object("PUT", path, body, ANSWER_S)

    def upload(self, path: str, pieces: Iterable[bytes], size: int | None) -> JsonObject:
        """PUT bytes as they come; *size* is None when nobody knows it."""
        if self._credential and self._credential.stored and self.endpoint.is_socket:
            self.get("/v1/whoami")  # a key that the server does not know is left out now: bytes go only once
        length = {} if size is None else {"Content-Length": str(size)}
        headers = {**self._headers(), "Content-Type": "application/octet-stream", **length}
        request = Request("PUT", path, headers, pieces, None)
        if self._trace:
            self._trace.sent(request)
        return self._data(path, self._transport(request), monotonic())

    def download(self, path: str) -> tuple[int | None, Iterable[bytes]]:
        """GET bytes: how many there are, when the server knows, and the bytes as they come."""
        response = self._opened("GET", path, None)
        length = response.headers.get("content-length", "")
        return (int(length) if length.isdecimal() else None), response.pieces

    def upgrade(self, path: str, protocol: str = "tcp-tunnel") -> Upgraded:
        """POST and take the connection over (wire-api 9.1); whoever gets it closes the socket."""
        began = monotonic()
        response = self._send("POST", path, None, HEARTBEAT_S, upgrade=protocol)
        if response.upgraded:
            if self._trace:
                self._trace.answered(response, monotonic() - began, None)
            return response.upgraded
        document = _decode(b"".join(response.pieces))
        if self._trace:
            self._trace.answered(response, monotonic() - began, document)
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise failure(response, document)
        raise self._bad_answer(path)

    def _object(self, method: str, path: str, body: JsonObject | None, silence_s: float | None) -> JsonObject:
        began = monotonic()
        return self._data(path, self._send(method, path, body, silence_s), began)

    def _data(self, path: str, response: Response, began: float) -> JsonObject:
        """Return the payload of an answer, or raise what the server refuses."""
        document = _decode(b"".join(response.pieces))
        if self._trace:
            self._trace.answered(response, monotonic() - began, document)
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise failure(response, document)
        data = document.get("data") if isinstance(document, dict) else None
        if not isinstance(document, dict) or document.get("status") != "success" or not isinstance(data, dict):
            raise self._bad_answer(path)
        return data

    def _send(
        self, method: str, path: str, body: JsonObject | None, silence_s: float | None, *, upgrade: str = ""
    ) -> Response:
        """Send; where the peer's user id suffices, a stored key the server does not know is left out and said so."""
        response = self._send_once(method, path, body, silence_s, upgrade)
        stale = response.status == HTTPStatus.UNAUTHORIZED and self._credential and self._credential.stored
        if not (stale and self.endpoint.is_socket):
            return response
        self._credential = None
        if self._on_stale:
            self._on_stale()
        return self._send_once(method, path, body, silence_s, upgrade)

    def _send_once(
        self, method: str, path: str, body: JsonObject | None, silence_s: float | None, upgrade: str
    ) -> Response:
        if not self._credential and not self.endpoint.is_socket:
            raise NotSignedIn(f"you are not signed in to {self.endpoint.text}", hint="createos login")
        payload = None if body is None else json.dumps(body).encode()
        request = Request(method, path, self._headers(), payload, silence_s, upgrade)
        if self._trace:
            self._trace.sent(request)
        return self._transport(request)

    def _headers(self) -> Mapping[str, str]:
        headers = {"User-Agent": "createos-cli", "Accept": "application/json", "Content-Type": "application/json"}
        if self._auto_resume:
            headers["X-Auto-Resume"] = "true"
        return {**headers, "X-Api-Key": self._credential.token} if self._credential else headers

    def _bad_answer(self, path: str) -> BadAnswer:
        where = f"{self.endpoint.text}{path.partition('?')[0]}"
        return BadAnswer(f"{where} did not answer as the sandbox API does", hint="check --sandbox-api-url")


def segment(text: str) -> str:
    """Quote a reference for use inside a path."""
    return quote(text, safe="")


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a byte stream at newlines only, however it was cut before; a last line needs no newline."""
    held = bytearray()
    for piece in pieces:
        held += piece
        *whole, rest = held.split(b"\n")
        yield from (bytes(line) for line in whole)
        held = bytearray(rest)
    if held:
        yield bytes(held)


def failure(response: Response, document: object) -> ApiFailure:
    """Turn a refusal into the error with its text: `data`, a string or the values of an object (cli-behaviour 1.5)."""
    request_id = next((response.headers[name] for name in REQUEST_ID_HEADERS if name in response.headers), "")
    return ApiFailure(
        _message(document) or f"failed with status {response.status}", status=response.status, request_id=request_id
    )


def _message(document: object) -> str:
    if not isinstance(document, dict):
        return ""
    data = document.get("data")
    if isinstance(data, dict) and data and all(isinstance(value, str) for value in data.values()):
        return "; ".join(text for _, text in sorted(data.items()))
    return next((text for text in (data, document.get("message")) if isinstance(text, str)), "")


def _decode(text: bytes) -> object:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document
