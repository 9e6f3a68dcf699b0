"""The few requests that the daemon itself makes of a bucket: is it there, may we use it, and make a folder in it."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import httpx

from createos_engine.disk_words import Bucket, Keys
from createos_engine.s3.addressing import encoded, url_of
from createos_engine.s3.causes import MOST_ERROR_BYTES, cause, code_of, unreachable
from createos_engine.s3.signing import EMPTY_PAYLOAD, signed

PROBE_S = 3.0
"""How long the probe of a bucket may take (wire-api 14.1)."""
_MARK_S = 10.0
_LISTING = re.compile(rb"<(\w+:)?ListBucketResult[\s>]")
_OBJECT = re.compile(rb"<(\w+:)?Contents[\s>]")
# As s3fs writes them.
_FOLDER = {"content-type": "application/x-directory"}
_NO_S3 = "what answers at the endpoint is not an S3 server; check its URL"

Transports = Callable[[], httpx.AsyncBaseTransport]


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_good(self) -> bool:
        return self.status in range(HTTPStatus.OK, HTTPStatus.MULTIPLE_CHOICES)

    @property
    def is_of_s3(self) -> bool:
        """Whether an answer to a GET or PUT is one that S3 servers give: what they refuse, they refuse with a code."""
        refused = self.status in range(HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR)
        return bool(code_of(self.body)) or not refused

    @property
    def cause(self) -> str:
        """Why it says no, as a sentence; empty when it does not."""
        if self.is_good:
            return ""
        code = code_of(self.body)
        said = f"{self.status} {code}".strip()
        return cause(self.status, code, self.headers) or f"the endpoint refused the request ({said}); look at its log"


def plain_transport() -> httpx.AsyncBaseTransport:
    """Return the way to any endpoint: no proxy of the environment, and the trust store of this host, read anew."""
    return httpx.AsyncHTTPTransport(verify=ssl.create_default_context(), trust_env=False, retries=0)


class S3Client:
    """Asks endpoints. What goes wrong is returned as a sentence with the next step; empty means that all is well."""

    def __init__(self, transport: Transports = plain_transport, *, probe_s: float = PROBE_S) -> None:
        self._transport = transport
        self._probe_s = probe_s

    async def probe(self, bucket: Bucket, keys: Keys) -> str:
        """Return why a bucket cannot be used with these keys, within 3 s: it must answer a HEAD, and be listed."""
        return await self._asked(self._probe(bucket, keys), self._probe_s)

    async def put_marker(self, bucket: Bucket, keys: Keys, folder: str) -> str:
        """Make the object `<folder>/` if nothing is below *folder*: what is not there cannot be mounted."""
        return await self._asked(self._mark(bucket, keys, folder), _MARK_S)

    async def _asked(self, asking: Coroutine[Any, Any, str], deadline_s: float) -> str:
        try:
            async with asyncio.timeout(deadline_s):
                return await asking
        except TimeoutError:
            return unreachable(httpx.ReadTimeout(""))
        except httpx.TransportError as exc:
            return unreachable(exc)

    async def _probe(self, bucket: Bucket, keys: Keys) -> str:
        async with self._session() as session:
            head = await _ask(session, "HEAD", bucket, keys)
            # The answer to a HEAD has no body, hence no word on why, and that of any web server looks like it.
            listing = await _list(session, bucket, keys)
        if not listing.is_of_s3 or (listing.is_good and not _LISTING.search(listing.body)):
            return _NO_S3
        # Only that to the HEAD names the region of a bucket for sure.
        return replace(listing, headers={**head.headers, **listing.headers}).cause or head.cause

    async def _mark(self, bucket: Bucket, keys: Keys, folder: str) -> str:
        key = f"{folder}/"
        async with self._session() as session:
            listing = await _list(session, bucket, keys, prefix=key)
            if not listing.is_good or _OBJECT.search(listing.body):
                return listing.cause
            return (await _ask(session, "PUT", bucket, keys, key, extra=_FOLDER)).cause

    def _session(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self._transport(), follow_redirects=False, trust_env=False, timeout=_MARK_S)


async def _list(session: httpx.AsyncClient, bucket: Bucket, keys: Keys, prefix: str = "") -> _Answer:
    return await _ask(session, "GET", bucket, keys, query=f"list-type=2&max-keys=1&prefix={encoded(prefix)}")


async def _ask(
    session: httpx.AsyncClient,
    method: str,
    bucket: Bucket,
    keys: Keys,
    key: str = "",
    query: str = "",
    extra: Mapping[str, str] | None = None,
) -> _Answer:
    url, now = url_of(bucket, key, query), datetime.now(UTC)
    headers = signed(method, url, extra or {}, keys, region=bucket.region, now=now, payload_hash=EMPTY_PAYLOAD)
    response = await session.send(httpx.Request(method, url, headers=headers), stream=True)
    try:
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) >= MOST_ERROR_BYTES:
                break
    finally:
        await response.aclose()
    return _Answer(response.status_code, dict(response.headers), bytes(body))
