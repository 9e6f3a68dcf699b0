"""Requests to the endpoint of a disk: signed, over connections that are kept, each wait with a deadline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx

from createos_engine.disk_words import Bucket, Keys
from createos_engine.s3.addressing import url_of
from createos_engine.s3.carrier import Carrier
from createos_engine.s3.rules import Permitted
from createos_engine.s3.signing import signed

CONNECT_S, ANSWER_S, QUEUE_S = 3.0, 10.0, 2.0
MOST_CONNECTIONS = 64
_KEPT_CONNECTIONS = 8
# Shorter than servers keep theirs: a connection that ends while a request is on its way fails that request.
_KEPT_S = 5.0
_TIMEOUTS = {"connect": CONNECT_S, "read": ANSWER_S, "write": ANSWER_S, "pool": QUEUE_S}
_WITH_BODY = frozenset({"PUT", "POST"})


def carrier() -> Carrier:
    """Return what carries the requests of one bucket."""
    return Carrier(connections=MOST_CONNECTIONS, kept=_KEPT_CONNECTIONS, kept_s=_KEPT_S)


class Upstream:
    """The endpoint of one bucket."""

    def __init__(self, bucket: Bucket, carrier: httpx.AsyncBaseTransport) -> None:
        self._bucket = bucket
        self._carrier = carrier

    async def ask(
        self, permitted: Permitted, keys: Keys, body: AsyncIterator[bytes] | None, length: str
    ) -> httpx.Response:
        """Send a request and return the answer, whose body is still to be read and must be closed.

        *body* is None when there is none; an empty *length* means that nobody knows it. Raises httpx.TransportError.
        """
        url = url_of(self._bucket, permitted.key, permitted.query)
        try:
            return await self._once(url, permitted, keys, body, length)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A kept connection may have ended just now. What has no body and makes nothing new can be said again.
            if body is not None or permitted.method == "POST":
                raise
            return await self._once(url, permitted, keys, body, length)

    async def close(self) -> None:
        """End all connections."""
        await self._carrier.aclose()

    async def _once(
        self, url: str, permitted: Permitted, keys: Keys, body: AsyncIterator[bytes] | None, length: str
    ) -> httpx.Response:
        headers = signed(
            permitted.method,
            url,
            permitted.headers,
            keys,
            region=self._bucket.region,
            now=datetime.now(UTC),
            payload_hash=permitted.payload_hash,
        )
        headers["accept-encoding"] = "identity"
        if body is None and permitted.method in _WITH_BODY:
            headers["content-length"] = "0"
        elif length:
            headers["content-length"] = length
        request = httpx.Request(permitted.method, url, headers=headers, content=body, extensions={"timeout": _TIMEOUTS})
        return await self._carrier.handle_async_request(request)
