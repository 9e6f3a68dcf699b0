"""HTTP/1.1 with the guest: requests in, answers out, over bytes that come through the channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from http import HTTPStatus

import h11

from createos_engine.duplex import Duplex
from createos_engine.s3.refusal import Refusal

MOST_HEAD_BYTES = 16_384
# A client keeps connections for its next request; a head or a body that it has begun it goes on with.
IDLE_S, HEAD_S, STALLED_S = 120.0, 15.0, 60.0
_LINGER_S, _LINGER_BYTES = 2.0, 16 * 1024 * 1024

_PHRASES = {int(status): status.phrase.encode() for status in HTTPStatus}

Headers = list[tuple[bytes, bytes]]


class GuestGone(Exception):
    """The guest hung up, went silent, or says what is not HTTP: nothing more can be said to it."""


class GuestSide:
    """One connection of a guest. Whatever it sends, memory stays within a few hundred KiB."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES)

    @property
    def answering(self) -> bool:
        """Whether an answer has begun and is not yet whole."""
        return self._http.our_state is h11.SEND_BODY

    async def request(self) -> h11.Request | None:
        """Return the next request, None when there is none any more. Raises Refusal and GuestGone."""
        try:
            if not self._http.trailing_data[0]:
                self._http.receive_data(await self._read(IDLE_S))
            async with asyncio.timeout(HEAD_S):
                event = await self._next(HEAD_S)
        except TimeoutError:
            return None
        if not isinstance(event, h11.Request):
            return None
        if len(event.target) + sum(len(name) + len(value) for name, value in event.headers) > MOST_HEAD_BYTES:
            raise _unreadable(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return event

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body of the request as it comes. Raises GuestGone when it does not come whole."""
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        async for piece in self._pieces():
            yield piece

    async def skip(self) -> None:
        """Read to the end of a request that has no body."""
        async for _ in self._pieces():
            pass

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            while isinstance(event := await self._next(STALLED_S), h11.Data):
                yield event.data
        except (TimeoutError, Refusal) as exc:
            raise GuestGone("the body of a request ended before its end") from exc
        if not isinstance(event, h11.EndOfMessage):
            raise GuestGone("the body of a request ended before its end")

    async def answer(self, status: int, headers: Headers, body: AsyncIterator[bytes]) -> None:
        """Send an answer as its body comes; the head goes with the first piece."""
        waiting: list[h11.Event] = [self._head(status, headers)]
        async for piece in body:
            await self._send(*waiting, h11.Data(data=piece))
            waiting = []
        await self._send(*waiting, h11.EndOfMessage())

    async def refuse(self, refusal: Refusal, request: h11.Request | None) -> None:
        """Answer with an S3 error, in XML as every client reads it; to a HEAD there is no body."""
        page = _page(refusal)
        head: Headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(page)).encode())]
        events: list[h11.Event] = [self._head(refusal.status, head)]
        if request is None or request.method != b"HEAD":
            events.append(h11.Data(data=page))
        await self._send(*events, h11.EndOfMessage())

    def again(self) -> bool:
        """Make ready for a next request on this connection; false when there can be none."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def hang_up(self) -> None:
        """End the connection so that the answer arrives, also when the guest is still sending."""
        with suppress(ConnectionError, TimeoutError):
            if self._http.their_state in (h11.SEND_BODY, h11.ERROR):
                self._duplex.write_eof()
                await self._drain()
        await self._duplex.close()

    def _head(self, status: int, headers: Headers) -> h11.Response:
        """Return the head of an answer. A client whose request is not read to its end cannot send another one.

        There are clients that take a status line without words for none.
        """
        last = [] if self._http.their_state is h11.DONE else [(b"connection", b"close")]
        return h11.Response(status_code=status, headers=[*headers, *last], reason=_PHRASES.get(status, b"Answer"))

    async def _drain(self) -> None:
        """Read what is still on its way: an answer is lost when its connection ends with unread bytes."""
        left = _LINGER_BYTES
        async with asyncio.timeout(_LINGER_S):
            while left > 0 and (data := await self._duplex.read()):
                left -= len(data)

    async def _next(self, patience_s: float) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._read(patience_s))
        except h11.RemoteProtocolError as exc:
            raise _unreadable(exc.error_status_hint) from exc
        return event

    async def _read(self, patience_s: float) -> bytes:
        try:
            async with asyncio.timeout(patience_s):
                return await self._duplex.read()
        except ConnectionError as exc:
            raise GuestGone("the guest hung up") from exc

    async def _send(self, *events: h11.Event) -> None:
        """Send in one piece."""
        data = b"".join(self._http.send(event) or b"" for event in events)
        if not data:
            return
        try:
            async with asyncio.timeout(STALLED_S):
                await self._duplex.write(data)
        except (ConnectionError, TimeoutError) as exc:
            raise GuestGone("the guest hung up or does not read") from exc


def is_empty(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request has no body."""
    return all(value == b"0" if name == b"content-length" else name != b"transfer-encoding" for name, value in headers)


def _unreadable(status: int) -> Refusal:
    sentence = f"this is not HTTP/1.1 with a head of at most {MOST_HEAD_BYTES} bytes, as a disk understands it"
    return Refusal(sentence, status=status, code="InvalidRequest")


def _page(refusal: Refusal) -> bytes:
    sentence = refusal.sentence.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f"{head}<Error><Code>{refusal.code}</Code><Message>{sentence}</Message></Error>".encode()
