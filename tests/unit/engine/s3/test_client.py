"""The probe over real HTTP on a unix socket, with a server that says what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from createos_engine.disk_words import Bucket, Keys
from createos_engine.s3.client import S3Client

BUCKET = Bucket("http://s3.example.org", "my-bucket", "eu-1", path_style=True)
KEYS = Keys("AKID", "s3cr3t")
LISTING = '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</ListBucketResult>'
EMPTY, FILLED = LISTING.format(""), LISTING.format("<Contents><Key>a</Key></Contents>")
OK = (200, {}, "")


def refused(status: int, code: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """An answer of S3 that says no."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, said, f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>"


@dataclass
class Server:
    """Answers by method; None is silence. `seen` has the first line of each request, `sent` all of it."""

    path: Path
    answers: dict[str, tuple[int, dict[str, str], str] | None] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)

    @property
    def seen(self) -> list[str]:
        return [request.partition("\r\n")[0].removesuffix(" HTTP/1.1") for request in self.sent]

    @property
    def client(self) -> S3Client:
        """A client whose every connection comes here; it waits as long as a slow machine needs."""
        return S3Client(lambda: httpx.AsyncHTTPTransport(uds=str(self.path)), probe_s=60)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.sent.append(head)
                method = head.split()[0]
                if (answer := self.answers.get(method, OK)) is None:
                    await reader.read()
                    return
                status, headers, body = answer
                shown = "" if method == "HEAD" else body
                lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(shown)}"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                writer.write(("\r\n".join(lines) + "\r\n\r\n" + shown).encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path / "s3.sock")
    listening = await asyncio.start_unix_server(made.serve, str(made.path))
    yield made
    listening.close()
    await listening.wait_closed()


async def test_a_bucket_that_answers_can_be_used(server: Server) -> None:
    server.answers["GET"] = (200, {}, EMPTY)

    assert await server.client.probe(BUCKET, KEYS) == ""

    assert server.seen == ["HEAD /my-bucket", "GET /my-bucket?list-type=2&max-keys=1&prefix="]
    assert all("Credential=AKID/" in request for request in server.sent)
    assert all("s3cr3t" not in request for request in server.sent)


@pytest.mark.parametrize(
    ("head", "get", "said"),
    [
        (403, refused(403, "InvalidAccessKeyId"), "does not know the access key"),
        (403, refused(403, "SignatureDoesNotMatch"), "the secret key does not belong"),
        (403, refused(403, "AccessDenied"), "they may not use this bucket"),
        (200, refused(403, "AccessDenied"), "they may not use this bucket"),
        (403, refused(403, "RequestTimeTooSkewed"), "the clocks"),
        (404, refused(404, "NoSuchBucket"), "has no such bucket"),
        (503, refused(503, "SlowDown"), "cannot serve now"),
        (400, refused(400, "InvalidRequest"), "refused the request (400 InvalidRequest)"),
        (301, refused(301, "PermanentRedirect", x_amz_bucket_region="us-2"), "it is in us-2"),
        (405, (200, {}, EMPTY), "answered 405"),
        (200, (200, {}, "<html>It works</html>"), "is not an S3 server"),
        (404, (404, {}, "<html>Not found</html>"), "is not an S3 server"),
        (401, (401, {"www-authenticate": "Basic"}, "no"), "is not an S3 server"),
    ],
)
async def test_each_cause_has_its_sentence(
    server: Server, head: int, get: tuple[int, dict[str, str], str], said: str
) -> None:
    server.answers |= {"HEAD": (head, {}, ""), "GET": get}

    assert said in await server.client.probe(BUCKET, KEYS)


async def test_the_region_is_taken_from_the_answer_that_names_it(server: Server) -> None:
    server.answers["HEAD"] = (400, {"x-amz-bucket-region": "us-2"}, "")
    server.answers["GET"] = refused(400, "AuthorizationHeaderMalformed")

    assert "it is in us-2" in await server.client.probe(BUCKET, KEYS)


async def test_no_redirect_is_followed(server: Server) -> None:
    moved = {"location": "http://198.51.100.7/stolen"}
    server.answers |= {"HEAD": (307, moved, ""), "GET": (307, moved, "")}

    assert "another region" in await server.client.probe(BUCKET, KEYS)
    assert [line.split()[1].partition("?")[0] for line in server.seen] == ["/my-bucket", "/my-bucket"]


async def test_an_endpoint_that_keeps_silent_is_not_waited_for(server: Server) -> None:
    server.answers["GET"] = None
    client = S3Client(lambda: httpx.AsyncHTTPTransport(uds=str(server.path)), probe_s=0.5)

    assert "does not answer in time" in await client.probe(BUCKET, KEYS)


async def test_an_answer_without_end_is_not_read_to_its_end(server: Server) -> None:
    server.answers["GET"] = (200, {"x-more": "a"}, EMPTY + " " * 1_000_000)

    assert await server.client.probe(BUCKET, KEYS) == ""


async def test_nobody_there_is_said(tmp_path: Path) -> None:
    client = S3Client(lambda: httpx.AsyncHTTPTransport(uds=str(tmp_path / "nobody.sock")), probe_s=60)

    assert "cannot be reached" in await client.probe(BUCKET, KEYS)


async def test_a_folder_is_marked_only_when_nothing_is_below_it(server: Server) -> None:
    server.answers["GET"] = (200, {}, FILLED)
    assert await server.client.put_marker(BUCKET, KEYS, "a b") == ""
    assert [line.split()[0] for line in server.seen] == ["GET"]

    server.answers["GET"] = (200, {}, EMPTY)
    assert await server.client.put_marker(BUCKET, KEYS, "a b") == ""

    assert server.seen[-2:] == ["GET /my-bucket?list-type=2&max-keys=1&prefix=a%20b%2F", "PUT /my-bucket/a%20b/"]
    assert "content-length: 0" in server.sent[-1].lower()


async def test_a_folder_that_cannot_be_marked_is_said(server: Server) -> None:
    server.answers |= {"GET": (200, {}, EMPTY), "PUT": refused(403, "AccessDenied")}

    assert "may not use this bucket" in await server.client.put_marker(BUCKET, KEYS, "a")
