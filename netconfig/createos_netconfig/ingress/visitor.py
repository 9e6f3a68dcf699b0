"""One visitor's connection: requests in, answers out, both streamed, until one side has had enough."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus

import h11

from createos_netconfig.ingress.heads import MOST_HEAD_BYTES, Malformed, Visit, host_of, inward, is_repeatable, outward
from createos_netconfig.ingress.hostnames import place_of
from createos_netconfig.ingress.pages import page
from createos_netconfig.ingress.pipe import splice
from createos_netconfig.ingress.upstream import CHUNK_BYTES, STALLED_S, Lease, Refused, Target, Unanswered, Upstream

# A head that takes longer than this is meant to take long; a connection may be idle a while longer.
HEAD_S, IDLE_S, BODY_S = 15.0, 75.0, 60.0
_LOOPBACK = ("127.", "::1")


class Visitor:
    """Serves one connection. `target` is what it uses at the moment; `cut` ends it at once."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, scheme: str, domain: str, lease: Lease
    ) -> None:
        self._reader, self._writer = reader, writer
        self._scheme, self._domain, self._lease = scheme, domain, lease
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES)
        self._peer = str((writer.get_extra_info("peername") or ("",))[0])
        self._upstream: Upstream | None = None
        self.target: Target | None = None

    def cut(self) -> None:
        """Hang up on both sides."""
        self._writer.transport.abort()
        if self._upstream:
            self._upstream.writer.transport.abort()

    async def serve(self) -> None:
        """Serve requests until the connection ends; whatever goes wrong ends this connection alone."""
        try:
            with suppress(OSError, h11.LocalProtocolError):
                while (request := await self._next_request()) and await self._answer(request):
                    self._http.start_next_cycle()
        finally:
            if self._upstream:
                await self._upstream.close()
            self._writer.close()
            with suppress(OSError):
                async with asyncio.timeout(HEAD_S):
                    await self._writer.wait_closed()

    async def _next_request(self) -> h11.Request | None:
        """Return the next request, None at the end; a head has a deadline from its first byte on."""
        try:
            if not self._http.trailing_data[0]:
                async with asyncio.timeout(IDLE_S):
                    self._http.receive_data(await self._reader.read(CHUNK_BYTES))
            async with asyncio.timeout(HEAD_S):
                event = await self._next()
        except TimeoutError:
            return None
        except h11.RemoteProtocolError as exc:
            await self._refuse(exc.error_status_hint, "this is not HTTP/1.1 as this server understands it")
            return None
        return event if isinstance(event, h11.Request) else None

    async def _answer(self, request: h11.Request) -> bool:
        """Answer one request and tell whether another may follow on this connection."""
        try:
            host = host_of(request)
            place = place_of(host, self._domain)
            if place is None:
                raise Refused(404, f"{host} is no address of a sandbox: they look like <id>-<port>.{self._domain}")
            async with self._lease(place) as target:
                self.target = target
                return await self._exchange(request, Visit(self._peer, self._scheme, host), target)
        except Malformed as exc:
            return await self._refuse(400, str(exc))
        except Refused as exc:
            return await self._refuse(exc.status, exc.words)
        except Unanswered as exc:
            return await self._refuse(502 if self._upstream else 503, str(exc))
        finally:
            self.target = None

    async def _exchange(self, request: h11.Request, visit: Visit, target: Target) -> bool:
        headers = inward(request, visit, target.port)
        head = h11.Request(method=request.method, target=request.target, headers=headers)
        upstream = await self._begin(head, target)
        sending = asyncio.create_task(self._pass_body(upstream), name="ingress body")
        try:
            answer = await self._first_words(upstream)
            if isinstance(answer, h11.ConnectionClosed) and not upstream.fresh and is_repeatable(request):
                # The program had ended the connection before this request reached it.
                upstream = await self._begin(head, target, anew=True)
                await upstream.send(h11.EndOfMessage())
                answer = await upstream.next()
            return await self._pass_on(upstream, answer)
        finally:
            sending.cancel()
            # What the body ran into is said by the answer, or by its absence.
            with suppress(asyncio.CancelledError, Unanswered, OSError, h11.ProtocolError):
                await sending

    async def _first_words(self, upstream: Upstream) -> object:
        """Return what the program says first; a connection that was used before may have ended, which is no answer."""
        try:
            return await upstream.next()
        except Unanswered:
            if upstream.fresh:
                raise
            return h11.ConnectionClosed()

    async def _begin(self, head: h11.Request, target: Target, *, anew: bool = False) -> Upstream:
        """Send the head over the connection there is, or a new one when there is none that works."""
        known = None if anew else self._upstream
        if known and known.again(target):
            with suppress(Unanswered):
                await known.send(head)
                return known
        if self._upstream:
            await self._upstream.close()
            self._upstream = None
        self._upstream = await Upstream.open(target)
        await self._upstream.send(head)
        return self._upstream

    async def _pass_on(self, upstream: Upstream, answer: object) -> bool:
        """Pass the answer on and tell whether the connection can go on."""
        while isinstance(answer, h11.InformationalResponse):
            if answer.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                await self._switch(upstream, answer)
                return False
            answer = await upstream.next()
        if not isinstance(answer, h11.Response):
            raise Unanswered("the program hung up before it answered")
        await self._pass_answer(upstream, answer)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _pass_body(self, upstream: Upstream) -> None:
        """Pass the request's body on as it comes; a visitor who promised one and sends nothing is given up."""
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        try:
            while isinstance(event := await self._next_of_body(), h11.Data):
                await upstream.send(h11.Data(data=event.data))
        except (OSError, h11.RemoteProtocolError):
            # The program waits for what will not come.
            upstream.writer.transport.abort()
            raise
        if isinstance(event, h11.EndOfMessage):
            await upstream.send(h11.EndOfMessage())
            await self._notice_end(upstream)

    async def _next_of_body(self) -> object:
        async with asyncio.timeout(BODY_S):
            return await self._next()

    async def _notice_end(self, upstream: Upstream) -> None:
        """Hang up on the program when the visitor goes away: an answer that is streamed may last for hours."""
        if self._http.their_state is not h11.DONE:
            return
        data = await self._reader.read(CHUNK_BYTES)
        if data:
            self._http.receive_data(data)
        else:
            upstream.writer.transport.abort()

    async def _pass_answer(self, upstream: Upstream, answer: h11.Response) -> None:
        await self._send(h11.Response(status_code=answer.status_code, headers=outward(answer), reason=answer.reason))
        while True:
            event = await upstream.next()
            if isinstance(event, h11.Data):
                await self._send(h11.Data(data=event.data))
            elif isinstance(event, h11.EndOfMessage):
                await self._send(h11.EndOfMessage())
                return
            else:
                # The program hung up in the middle: so do we, and the visitor knows that something is missing.
                raise ConnectionResetError

    async def _switch(self, upstream: Upstream, answer: h11.InformationalResponse) -> None:
        """Go over to another protocol, WebSocket as a rule: from now on bytes go through as they are."""
        await self._send(h11.InformationalResponse(status_code=101, headers=outward(answer), reason=answer.reason))
        early = self._http.trailing_data[0], upstream.http.trailing_data[0]
        await splice((self._reader, self._writer), (upstream.reader, upstream.writer), early)

    async def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(CHUNK_BYTES))
        return event

    async def _send(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")
        async with asyncio.timeout(STALLED_S):
            await self._writer.drain()

    async def _refuse(self, status: int, words: str) -> bool:
        """Answer with a page of ours, if the answer has not begun, and end the connection."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response, body = page(status, words if self._peer.startswith(_LOOPBACK) else "")
            for event in (response, body, h11.EndOfMessage()):
                await self._send(event)
        return False
