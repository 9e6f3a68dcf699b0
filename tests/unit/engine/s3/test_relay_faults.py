"""Whatever the endpoint does and whatever the guest says: an answer that says so, or an end that cannot be misread."""

from __future__ import annotations

import httpx
import pytest
from createos_engine.errors import HostFailed
from createos_engine.s3 import guest_side

from tests.fakes.s3 import GET, HEAD, KEYS, PUT, Guest, Pieces, always, until

BEGIN_UPLOAD = b"POST /photos/a/b?uploads HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_answer_that_breaks_ends_the_connection_hard() -> None:
    body = Pieces([b"so", httpx.ReadError("reset")])

    async def broken(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-length": "4"}, stream=body)

    async with Guest(broken).connected() as guest:
        guest.say(GET)
        end = await guest.ended()

    assert end == "aborted"
    assert body.closed
    assert "broke" in guest.health[0]


@pytest.mark.parametrize("pieces", [[b"so"], [b"so", b"me more"]])
async def test_answer_of_another_length_than_it_says_ends_the_connection_hard(pieces: list[bytes | Exception]) -> None:
    async def lying(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-length": "4"}, stream=Pieces(pieces))

    async with Guest(lying).connected() as guest:
        guest.say(GET)
        end = await guest.ended()

    assert end == "aborted"


async def test_answer_without_a_length_is_none() -> None:
    async def endless(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Pieces([b"some"]))

    async with Guest(endless).connected() as guest:
        guest.say(GET)
        [(status, _, _)] = await guest.answers("GET")

    assert status == 502


async def test_endpoint_that_does_not_answer_is_an_error_that_says_so_and_health_says_each_change_once() -> None:
    silent = True

    async def now_and_then(request: httpx.Request) -> httpx.Response:
        if silent:
            raise httpx.ReadTimeout("late", request=request)
        return await always(200)(request)

    async with Guest(now_and_then).connected() as guest:
        guest.say(GET + GET)
        answers = await guest.answers("GET", "GET")
        silent = False
        guest.say(GET + GET)
        await until(lambda: len(guest.endpoint.asked) == 4)

    assert [status for status, _, _ in answers] == [503, 503]
    assert b"<Code>ServiceUnavailable</Code><Message>the endpoint does not answer in time" in answers[0][2]
    assert guest.health == ["the endpoint does not answer in time; check that it runs and is not overloaded", ""]


async def test_guest_that_asks_too_much_at_once_says_nothing_about_the_endpoint() -> None:
    async def busy(request: httpx.Request) -> httpx.Response:
        raise httpx.PoolTimeout("all connections are in use", request=request)

    async with Guest(busy).connected() as guest:
        guest.say(GET)
        [(status, _, body)] = await guest.answers("GET")

    assert status == 503
    assert b"<Code>SlowDown</Code>" in body
    assert guest.health == []


async def test_kept_connection_that_has_just_ended_is_tried_once_more() -> None:
    async def once_broken(request: httpx.Request) -> httpx.Response:
        if len(guest.endpoint.asked) == 1:
            raise httpx.RemoteProtocolError("Server disconnected", request=request)
        return await always(200, b"text")(request)

    guest = Guest(once_broken)
    async with guest.connected():
        guest.say(GET)
        [(status, _, _)] = await guest.answers("GET")

    assert status == 200
    assert guest.health == []


@pytest.mark.parametrize("said", [PUT + b"Content-Length: 1\r\n\r\nx", BEGIN_UPLOAD])
async def test_what_may_not_be_said_twice_is_not(said: bytes) -> None:
    async def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("Server disconnected", request=request)

    async with Guest(broken).connected() as guest:
        guest.say(said)
        [(status, _, _)] = await guest.answers("PUT")

    assert status == 503
    assert len(guest.endpoint.asked) == 1


async def test_error_of_the_endpoint_is_written_anew_without_what_it_says_of_the_keys() -> None:
    page = (
        f"<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>{KEYS.access_key}</AWSAccessKeyId></Error>".encode()
    )

    async with Guest(always(403, page, {"set-cookie": "a=b"})).connected() as guest:
        guest.say(GET)
        [(status, headers, body)] = await guest.answers("GET")

    assert status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in body
    assert KEYS.access_key not in f"{headers}{body!r}"
    assert "set-cookie" not in headers
    assert "secret key does not belong" in guest.health[0]


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_redirect_is_not_passed_on(status: int) -> None:
    async with Guest(
        always(status, b"", {"location": "http://198.51.100.1/", "x-amz-bucket-region": "x-2"})
    ).connected() as guest:
        guest.say(GET)
        [(said, headers, _)] = await guest.answers("GET")

    assert said == 400
    assert "location" not in headers
    assert "it is in x-2" in guest.health[0]
    assert len(guest.endpoint.asked) == 1


@pytest.mark.parametrize(("status", "code"), [(404, "NoSuchKey"), (412, "PreconditionFailed"), (403, "AccessDenied")])
async def test_error_about_one_object_is_no_matter_of_health(status: int, code: str) -> None:
    async with Guest(always(status, f"<Error><Code>{code}</Code></Error>".encode())).connected() as guest:
        guest.say(GET + HEAD)
        answers = await guest.answers("GET", "HEAD")

    assert [said for said, _, _ in answers] == [status, status]
    assert guest.health == []


async def test_keys_that_cannot_be_read_are_an_error_that_says_so() -> None:
    def sealed() -> None:
        raise HostFailed("the key file is missing", hint="put it back")

    async with Guest(always(200), keys=sealed).connected() as guest:  # type: ignore[arg-type]
        guest.say(GET)
        [(status, _, _)] = await guest.answers("GET")

    assert status == 503
    assert guest.health == ["the key file is missing; put it back"]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /photos/a HTTP/1.1\r\n\r\n", 400),
        (b"GET /photos/a HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000, 431),
        (b"GET /photos/a HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /photos/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\ny", 400),
        (PUT + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (PUT + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (b"CONNECT other.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://other.test/photos/a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ],
)
async def test_what_is_no_request_of_s3_is_refused_and_the_endpoint_hears_nothing(said: bytes, status: int) -> None:
    async with Guest(always(200)).connected() as guest:
        guest.say(said)
        [(answered, _, _)] = await guest.answers("GET")

    assert answered == status
    assert guest.endpoint.asked == []


@pytest.mark.parametrize("said", [GET[:30], PUT + b"Content-Length: 4\r\n\r\nso", b""])
async def test_guest_that_goes_silent_is_given_up(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDLE_S", "HEAD_S", "STALLED_S"):
        monkeypatch.setattr(guest_side, name, 0.05)

    guest = Guest(always(200))
    async with guest.connected():
        if said:
            guest.say(said)
        assert await guest.ended() in ("closed", "aborted")


async def test_guest_that_hangs_up_in_a_body_leaves_no_object_that_looks_whole() -> None:
    stored: list[bytes] = []

    async def store(request: httpx.Request) -> httpx.Response:
        stored.append(b"".join([piece async for piece in request.stream]))
        return await always(200)(request)

    async with Guest(store).connected() as guest:
        guest.say(PUT + b"Content-Length: 4\r\n\r\nso")

    assert stored == []
    assert guest.duplex.end == "aborted"


async def test_upload_that_the_endpoint_refuses_midway_is_answered_and_the_connection_ends() -> None:
    async def full(request: httpx.Request) -> httpx.Response:
        async for _ in request.stream:
            break
        return httpx.Response(507, headers={"content-length": "0"}, stream=Pieces([]))

    async with Guest(full).connected() as guest:
        guest.say(PUT + b"Content-Length: 400\r\n\r\nsome")
        [(status, _, _)] = await guest.answers("PUT")
        guest.say(b"more")

    assert status == 507
    assert guest.duplex.eof.is_set()
    assert guest.duplex.end == "closed"
