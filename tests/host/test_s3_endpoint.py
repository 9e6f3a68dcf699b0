"""The probe of a bucket and the folder marker against a real S3 server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from createos_engine.disk_words import Bucket, Keys
from createos_engine.s3.client import S3Client

from tests.host.netlab import SERVER_V4
from tests.host.s3server import OWNER, READER, SHARED, S3Server
from tests.host.webserver import WebServer

pytestmark = pytest.mark.root

# Such a server on a busy machine may take longer than a person would wait.
CLIENT = S3Client(probe_s=60)
PLAIN_PORT, TLS_PORT, DEAF_PORT = 8081, 8444, 8082


@pytest.fixture(scope="module")
def web(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers beside the S3 server that are none."""
    secret = WebServer(tmp_path_factory.mktemp("web"))
    secret.listen(SERVER_V4, TLS_PORT, tls=True)
    with HTTPServer((SERVER_V4, PLAIN_PORT), Pages) as plain, socket.create_server((SERVER_V4, DEAF_PORT)):
        serving = threading.Thread(target=plain.serve_forever)
        serving.start()
        yield
        plain.shutdown()
        serving.join()
    secret.close()


class Pages(BaseHTTPRequestHandler):
    """A web server that has a page for everything."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"<html>It works</html>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


async def test_a_bucket_that_can_be_used_passes(s3: S3Server) -> None:
    bucket = s3.bucket("fine")

    assert await CLIENT.probe(bucket, OWNER) == ""


async def test_a_bucket_that_may_be_read_passes(s3: S3Server) -> None:
    assert await CLIENT.probe(s3.bucket(SHARED), READER) == ""


@pytest.mark.parametrize(
    ("keys", "cause"),
    [
        (Keys("AKIDNOBODY", OWNER.secret_key), "does not know the access key"),
        (Keys(OWNER.access_key, "wrong"), "the secret key does not belong to the access key"),
        (READER, "the keys, but they may not use this bucket"),
    ],
)
async def test_wrong_keys_are_told_apart(s3: S3Server, keys: Keys, cause: str) -> None:
    bucket = s3.bucket("guarded")

    assert cause in await CLIENT.probe(bucket, keys)


async def test_a_bucket_that_is_not_there_is_said(s3: S3Server) -> None:
    missing = replace(s3.bucket(SHARED), bucket="missing")

    assert "has no such bucket" in await CLIENT.probe(missing, OWNER)


async def test_the_folder_is_made_when_nothing_is_below_it(s3: S3Server) -> None:
    bucket = s3.bucket("folders")

    assert await CLIENT.put_marker(bucket, OWNER, "new/deep and wïde") == ""

    assert s3.keys("folders") == ["new/deep and wïde/"]


async def test_a_folder_with_something_below_it_is_left_as_it_is(s3: S3Server) -> None:
    bucket = s3.bucket("filled")
    s3.put("filled", "old/file", b"text")

    assert await CLIENT.put_marker(bucket, OWNER, "old") == ""

    assert s3.keys("filled") == ["old/file"]


async def test_a_folder_that_may_not_be_made_is_said(s3: S3Server) -> None:
    bucket: Bucket = s3.bucket(SHARED)

    assert "may not use this bucket" in await CLIENT.put_marker(bucket, READER, "new")
    assert s3.keys(SHARED) == []


@pytest.mark.parametrize(
    ("endpoint", "cause"),
    [
        (f"http://{SERVER_V4}:{PLAIN_PORT}", "is not an S3 server"),
        (f"http://{SERVER_V4}:9", "refuses connections"),
        ("http://198.51.100.7", "cannot be reached (Network is unreachable)"),
        ("http://s3.invalid", "does not resolve"),
        (f"https://{SERVER_V4}:{TLS_PORT}", "is not trusted"),
        (f"https://{SERVER_V4}:{PLAIN_PORT}", "check the port, and whether it is http"),
    ],
)
@pytest.mark.usefixtures("web")
async def test_what_is_no_usable_endpoint_is_said(endpoint: str, cause: str) -> None:
    assert cause in await CLIENT.probe(Bucket(endpoint, "some-bucket"), OWNER)


@pytest.mark.usefixtures("web")
async def test_an_endpoint_that_does_not_answer_is_not_waited_for() -> None:
    deaf = Bucket(f"http://{SERVER_V4}:{DEAF_PORT}", "some-bucket")

    assert "does not answer in time" in await S3Client(probe_s=0.5).probe(deaf, OWNER)
