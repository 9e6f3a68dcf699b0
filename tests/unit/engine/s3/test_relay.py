"""The relay speaks HTTP with a guest as S3 is spoken, and both sides are streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.fakes.s3 import GET, HEAD, KEYS, PUT, Guest, Pieces, always, until

CHUNKED = b"Transfer-Encoding: chunked\r\n"


async def test_request_goes_on_with_the_real_keys_and_nothing_of_the_guests_own() -> None:
    async with Guest(always(200, b"text")).connected() as guest:
        guest.say(GET)
        [(status, _, body)] = await guest.answers("GET")

    [asked] = guest.endpoint.asked
    assert (status, body) == (200, b"text")
    assert str(asked.url) == "http://s3.test:9000/photos/a/b"
    assert asked.headers["host"] == "s3.test:9000"
    assert f"Credential={KEYS.access_key}/" in asked.headers["authorization"]
    assert "/eu-test-1/s3/aws4_request" in asked.headers["authorization"]
    assert "made-up" not in str(asked.headers.raw)
    assert set(asked.headers) == {
        *("host", "authorization", "x-amz-date", "x-amz-content-sha256", "accept-encoding"),
    }  # fmt: skip


async def test_connection_serves_one_request_after_the_other_also_when_they_come_at_once() -> None:
    async with Guest(always(200, b"text")).connected() as guest:
        guest.say(GET + HEAD + GET[:20])
        guest.say(GET[20:])
        answers = await guest.answers("GET", "HEAD", "GET")

    assert [(status, body) for status, _, body in answers] == [(200, b"text"), (200, b""), (200, b"text")]
    assert answers[1][1]["content-length"] == "4"
    assert guest.duplex.end == "closed"


@pytest.mark.parametrize(
    ("head", "body", "framing"),
    [
        (b"Content-Length: 8\r\n\r\n", [b"some", b"text"], {"content-length": "8"}),
        (CHUNKED + b"\r\n", [b"4\r\nso", b"me\r\n4\r\ntext\r\n0\r\n\r\n"], {"transfer-encoding": "chunked"}),
    ],
)
async def test_body_is_passed_on_as_it_comes(head: bytes, body: list[bytes], framing: dict[str, str]) -> None:
    got: list[bytes] = []

    async def store(request: httpx.Request) -> httpx.Response:
        async for piece in request.stream:
            got.append(piece)
        return httpx.Response(200, headers={"content-length": "0", "etag": '"e"'}, stream=Pieces([]))

    async with Guest(store).connected() as guest:
        guest.say(PUT + head)
        for piece in body:
            guest.say(piece)
        [(status, headers, _)] = await guest.answers("PUT")

    assert b"".join(got) == b"sometext"
    assert len(got) > 1
    assert (status, headers["etag"]) == (200, '"e"')
    assert framing.items() <= dict(guest.endpoint.asked[0].headers).items()


async def test_body_that_was_promised_is_asked_for_when_the_endpoint_takes_it() -> None:
    async with Guest(always(200)).connected() as guest:
        guest.say(PUT + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        await until(lambda: guest.duplex.sent.startswith(b"HTTP/1.1 100 "))
        guest.say(b"text")
        [(status, _, _)] = await guest.answers("PUT")

    assert status == 200


async def test_body_of_a_refused_request_is_not_asked_for() -> None:
    async with Guest(always(200)).connected() as guest:
        guest.say(PUT.replace(b"photos", b"other") + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        [(status, _, body)] = await guest.answers("PUT")

    assert status == 403
    assert b"<Code>AccessDenied</Code>" in body
    assert guest.endpoint.asked == []


async def test_refusal_leaves_the_connection_for_the_next_request() -> None:
    async with Guest(always(200, b"text")).connected() as guest:
        guest.say(GET.replace(b"photos", b"other") + GET)
        answers = await guest.answers("GET", "GET")

    assert [status for status, _, _ in answers] == [403, 200]


async def test_answer_before_the_end_of_a_body_says_that_it_is_the_last() -> None:
    async with Guest(always(200)).connected() as guest:
        guest.say(PUT.replace(b"photos", b"other") + b"Content-Length: 4\r\n\r\nso")
        [(_, headers, _)] = await guest.answers("PUT")

    assert headers["connection"] == "close"
    assert guest.duplex.end == "closed"


async def test_large_answer_waits_for_a_guest_that_does_not_read() -> None:
    given = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal given
            while True:
                given += 1
                yield b"x" * 65_536

    async def endless(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-length": str(2**40)}, stream=Endless())

    guest = Guest(endless)
    reading = asyncio.Event()
    write = guest.duplex.write

    async def slow_write(data: bytes) -> None:
        await reading.wait()
        await write(data)

    guest.duplex.write = slow_write  # type: ignore[method-assign]
    async with guest.connected():
        guest.say(GET)
        await until(lambda: given == 1)
        for _ in range(100):
            await asyncio.sleep(0)
        waited = given
        guest.duplex.lost.set()
        reading.set()
        end = await guest.ended()

    assert waited == 1
    assert end == "aborted"


async def test_object_that_has_not_changed_has_no_body() -> None:
    async with Guest(always(304, b"", {"etag": '"e"'})).connected() as guest:
        guest.say(GET.replace(b"Cookie: c=d", b'If-None-Match: "e"'))
        [(status, headers, _)] = await guest.answers("GET")

    assert (status, headers["etag"]) == (304, '"e"')
    assert guest.endpoint.asked[0].headers["if-none-match"] == '"e"'


async def test_listing_that_leaves_the_sub_path_does_not_reach_the_guest() -> None:
    listing = b"<ListBucketResult><Contents><Key>%s</Key></Contents></ListBucketResult>"
    said = [listing % b"other/secret", listing % b"a/b/mine"]

    async def listed(request: httpx.Request) -> httpx.Response:
        return await always(200, said[len(guest.endpoint.asked) - 1])(request)

    guest = Guest(listed, "a/b")
    async with guest.connected():
        guest.say(b"GET /photos?list-type=2&continuation-token=other HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        answers = await guest.answers("GET", "GET")

    assert [status for status, _, _ in answers] == [403, 200]
    assert b"secret" not in answers[0][2]
