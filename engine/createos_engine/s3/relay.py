"""The signing relay: a guest speaks S3 with made-up keys, and what it may ask goes on with the real ones.

Nothing that the guest says about itself goes further (its keys, its signature, its Host), and nothing that the endpoint
says about the real keys comes back: errors are written anew, since S3 names the access key in some of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from http import HTTPStatus

import h11
import httpx
import structlog

from createos_engine.disk_words import Bucket, Keys
from createos_engine.duplex import Duplex
from createos_engine.errors import EngineError
from createos_engine.s3 import folders
from createos_engine.s3.causes import MOST_ERROR_BYTES, cause, code_of
from createos_engine.s3.guest_side import GuestGone, GuestSide, is_empty
from createos_engine.s3.headers import outward
from createos_engine.s3.health import Health
from createos_engine.s3.listing import MOST_LISTING_BYTES, stays_below
from createos_engine.s3.refusal import Refusal, malformed
from createos_engine.s3.rules import Permitted, Rules
from createos_engine.s3.upstream import Upstream, carrier

log = structlog.get_logger(__name__)

_NEVER_A_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_BODILESS = frozenset({b"GET", b"HEAD", b"DELETE"})


class Relay:
    """What one attachment may do with its bucket, for any number of connections.

    *keys* is asked for each request, so that new keys are used at once. *on_health* hears each change: why the disk
    does not work as a sentence, and an empty text when it does again.
    """

    def __init__(
        self,
        bucket: Bucket,
        keys: Callable[[], Keys],
        sub_path: str = "",
        *,
        on_health: Callable[[str], None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._keys = keys
        self._sub_path = sub_path
        self._rules = Rules(bucket.bucket, sub_path)
        self._upstream = Upstream(bucket, transport or carrier())
        self._health = Health(on_health)

    async def serve(self, connection: Duplex) -> None:
        """Answer requests until the guest ends the connection; never fails, and the connection is over afterwards."""
        guest = GuestSide(connection)
        try:
            while await self._serve_one(guest) and guest.again():
                pass
            await guest.hang_up()
        except (GuestGone, ConnectionError, EngineError, h11.LocalProtocolError) as exc:
            log.debug("a connection to a disk ended", reason=str(exc))
        finally:
            connection.abort()

    async def close(self) -> None:
        """End the connections to the endpoint."""
        await self._upstream.close()

    async def _serve_one(self, guest: GuestSide) -> bool:
        """Answer one request; false when there was none. Raises GuestGone when its answer could not be ended."""
        request: h11.Request | None = None
        try:
            request = await guest.request()
            if request is None:
                return False
            bodiless = is_empty(request.headers)
            if bodiless:
                await guest.skip()
            await self._exchange(guest, request, None if bodiless else guest.body())
        except Refusal as refusal:
            await guest.refuse(refusal, request)
        return True

    async def _exchange(self, guest: GuestSide, request: h11.Request, body: AsyncIterator[bytes] | None) -> None:
        permitted = self._permitted(request)
        if body and request.method in _BODILESS:
            raise malformed("only PUT and POST have a body; send this request without one")
        answer = await self._ask(permitted, body, _length(request))
        try:
            if answer.status_code == HTTPStatus.NOT_FOUND and (better := await self._for_folder(permitted)):
                await answer.aclose()
                answer = better
            await self._pass_on(guest, permitted, answer)
        except httpx.TransportError as exc:
            why = self._health.unanswered(exc)
            if guest.answering:
                raise GuestGone(why) from exc
            raise _unavailable(why) from exc
        finally:
            await answer.aclose()

    def _permitted(self, request: h11.Request) -> Permitted:
        headers = list(request.headers)
        names = [name for name, _ in headers]
        if b"content-length" in names and b"transfer-encoding" in names:
            raise malformed("a body has a length or a coding, not both")
        try:
            return self._rules.permit(request.method.decode("ascii"), request.target, headers)
        except Refusal as refusal:
            log.debug("a disk refused a request", reason=refusal.sentence)
            raise

    async def _ask(self, permitted: Permitted, body: AsyncIterator[bytes] | None, length: str) -> httpx.Response:
        try:
            keys = self._keys()
        except EngineError as exc:
            raise _unavailable(self._health.without(exc.sentence)) from exc
        try:
            return await self._upstream.ask(permitted, keys, body, length)
        except httpx.PoolTimeout as exc:
            raise _unavailable(
                "too many requests of this disk are under way; wait for some of them", "SlowDown"
            ) from exc
        except httpx.TransportError as exc:
            raise _unavailable(self._health.unanswered(exc)) from exc

    async def _for_folder(self, permitted: Permitted) -> httpx.Response | None:
        """Return the answer for a folder that is there without an object; to copy it is to make an object."""
        folder = folders.meant(permitted)
        if not folder or not await self._is_there(folder):
            return None
        if permitted.method == "HEAD":
            return folders.found()
        return await self._ask(folders.made(permitted), None, "")

    async def _is_there(self, folder: str) -> bool:
        """Tell whether something is in a folder. Raises Refusal and httpx.TransportError when nobody can say."""
        looking = folders.look_into(folder)
        listing = await self._ask(looking, None, "")
        try:
            if listing.is_server_error:
                raise await self._error(looking, listing)
            found = await _at_most(listing, folders.MOST_LISTING_BYTES)
        finally:
            await listing.aclose()
        return listing.is_success and folders.holds(found, folder)

    async def _pass_on(self, guest: GuestSide, permitted: Permitted, answer: httpx.Response) -> None:
        status = answer.status_code
        if status >= HTTPStatus.MULTIPLE_CHOICES and status != HTTPStatus.NOT_MODIFIED:
            raise await self._error(permitted, answer)
        self._health.answered(status, "", answer.headers, of_object=bool(permitted.key))
        headers = [*outward(answer.headers), *_framing(permitted, answer)]
        async with aclosing(self._body(permitted, answer)) as body:
            await guest.answer(status, headers, body)

    async def _body(self, permitted: Permitted, answer: httpx.Response) -> AsyncGenerator[bytes]:
        """Yield the body of an answer as it comes; a listing that a sub_path bounds comes as a whole."""
        if permitted.lists and self._sub_path:
            listing = await _at_most(answer, MOST_LISTING_BYTES)
            if not stays_below(listing, self._sub_path):
                raise Refusal("the endpoint listed what is not below the sub_path of this disk; ask without a marker")
            yield listing
        else:
            # That of a HEAD is read too, empty as it is: a connection is kept when its answer was read to the end.
            async for piece in answer.aiter_raw():
                if permitted.method != "HEAD":
                    yield piece

    async def _error(self, permitted: Permitted, answer: httpx.Response) -> Refusal:
        """Return an error of the endpoint as the guest gets it: its status and code, in our words."""
        status = answer.status_code
        code = code_of(await _at_most(answer, MOST_ERROR_BYTES))
        self._health.answered(status, code, answer.headers, of_object=bool(permitted.key))
        why = "" if permitted.key and not code else cause(status, code, answer.headers)
        redirect = status < HTTPStatus.BAD_REQUEST
        return Refusal(
            why or f"the endpoint answered {status} {code}".rstrip(),
            status=HTTPStatus.BAD_REQUEST if redirect else status,
            code=code or "UnknownError",
        )


def _unavailable(why: str, code: str = "ServiceUnavailable") -> Refusal:
    return Refusal(why, status=HTTPStatus.SERVICE_UNAVAILABLE, code=code)


def _framing(permitted: Permitted, answer: httpx.Response) -> list[tuple[bytes, bytes]]:
    """Return the length of an answer if it has one. Raises Refusal when nobody could tell where its body ends."""
    if "transfer-encoding" in answer.headers:
        return []
    if length := answer.headers.get("content-length"):
        return [(b"content-length", length.encode())]
    if permitted.method == "HEAD" or answer.status_code in _NEVER_A_BODY:
        return []
    sentence = "the endpoint does not say how long its answer is; use a server that does"
    raise Refusal(sentence, status=HTTPStatus.BAD_GATEWAY, code="BadGateway")


def _length(request: h11.Request) -> str:
    """Return the length that a request gives its body, empty when it gives none."""
    return next((value.decode("ascii") for name, value in request.headers if name == b"content-length"), "")


async def _at_most(answer: httpx.Response, limit: int) -> bytes:
    """Read a body up to a limit; what is longer is cut."""
    read = bytearray()
    async for piece in answer.aiter_raw():
        read += piece
        if len(read) >= limit:
            break
    return bytes(read[:limit])
