"""Folders are there for a guest whether or not an object stands for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.fakes.s3 import Guest, Pieces

KEY = "<Contents><Key>%s</Key></Contents>"
HEAD = b"HEAD /photos/a/b/%s HTTP/1.1\r\nHost: x\r\n\r\n"
COPY = (
    b"PUT /photos/a/b/dir/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nx-amz-metadata-directive: REPLACE\r\n"
    b"x-amz-meta-mode: 16877\r\nx-amz-copy-source: /photos/a/b/dir/\r\n\r\n"
)


class Bucket:
    """An endpoint with these objects; `asked` has what was asked of it, in short."""

    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)
        self.asked: list[str] = []
        self.metadata: dict[str, str] = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        key = request.url.path.removeprefix("/photos").removeprefix("/")
        source = request.headers.get("x-amz-copy-source", "").removeprefix("/photos/")
        self.asked.append(f"{request.method} {key}{' from ' + source if source else ''}")
        if request.method == "GET":
            prefix = request.url.params["prefix"]
            found = "".join(KEY % name for name in sorted(self.keys) if name.startswith(prefix))
            return _answer(200, f"<ListBucketResult><Prefix>{prefix}</Prefix>{found}</ListBucketResult>".encode())
        self.metadata = {name: value for name, value in request.headers.items() if name.startswith("x-amz-meta")}
        if request.method == "PUT" and (not source or source in self.keys):
            self.keys.add(key)
        return _answer(200 if key in self.keys else 404)


def _answer(status: int, body: bytes = b"") -> httpx.Response:
    return httpx.Response(status, headers={"content-length": str(len(body))}, stream=Pieces([body]))


@pytest.mark.parametrize("sub_path", ["", "a/b"])
@pytest.mark.parametrize(
    ("keys", "status", "asked"),
    [
        (["a/b/dir/"], 200, ["HEAD a/b/dir/"]),
        (["a/b/dir/file"], 200, ["HEAD a/b/dir/", "GET "]),
        (["a/b/dir2/file", "a/b/dir"], 404, ["HEAD a/b/dir/", "GET "]),
    ],
)
async def test_folder_is_there_when_it_has_an_object_or_something_is_in_it(
    keys: list[str], status: int, asked: list[str], sub_path: str
) -> None:
    bucket = Bucket(*keys)
    async with Guest(bucket, sub_path).connected() as guest:
        guest.say(HEAD % b"dir/")
        [(said, headers, body)] = await guest.answers("HEAD")

    assert (said, body) == (status, b"")
    assert bucket.asked == asked
    if asked[1:] and status == 200:
        assert (headers["content-type"], headers["content-length"]) == ("application/x-directory", "0")


async def test_file_that_is_not_there_is_not_looked_for_as_a_folder() -> None:
    bucket = Bucket("a/b/file/x")
    async with Guest(bucket).connected() as guest:
        guest.say(HEAD % b"file")
        [(status, _, _)] = await guest.answers("HEAD")

    assert (status, bucket.asked) == (404, ["HEAD a/b/file"])


async def test_folder_without_an_object_gets_one_when_it_is_copied_which_is_how_its_mode_is_changed() -> None:
    bucket = Bucket("a/b/dir/file")
    async with Guest(bucket).connected() as guest:
        guest.say(COPY)
        [(status, _, _)] = await guest.answers("PUT")

    assert status == 200
    assert bucket.asked == [
        "PUT a/b/dir/ from a/b/dir/",
        "GET ",
        "PUT a/b/dir/",
    ]
    assert bucket.metadata == {"x-amz-meta-mode": "16877"}


async def test_endpoint_that_goes_silent_while_a_folder_is_looked_for_is_an_answer_and_nothing_stays_open() -> None:
    closed: list[bool] = []

    class Missing(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b""

        async def aclose(self) -> None:
            closed.append(True)

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            raise httpx.ReadTimeout("")
        return httpx.Response(404, headers={"content-length": "0"}, stream=Missing())

    async with Guest(answer).connected() as guest:
        guest.say(HEAD % b"dir/")
        [(status, _, _)] = await guest.answers("HEAD")

    assert (status, closed) == (503, [True])


async def test_endpoint_that_fails_while_a_folder_is_looked_for_does_not_make_it_a_missing_one() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        return _answer(500 if request.method == "GET" else 404)

    async with Guest(answer).connected() as guest:
        guest.say(HEAD % b"dir/")
        [(status, _, _)] = await guest.answers("HEAD")

    assert status == 500
    assert len(guest.health) == 1


async def test_listing_that_is_refused_leaves_the_folder_missing_and_the_connection_usable() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        return _answer(403 if request.method == "GET" else 404)

    async with Guest(answer).connected() as guest:
        guest.say(HEAD % b"dir/" * 2)
        answers = await guest.answers("HEAD", "HEAD")

    assert [status for status, _, _ in answers] == [404, 404]
    assert guest.health == []
