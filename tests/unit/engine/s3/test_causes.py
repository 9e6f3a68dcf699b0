"""Each thing that an endpoint may answer, or not answer, has a sentence of its own that says what to do."""

from __future__ import annotations

import errno
import socket
import ssl

import httpx
import pytest
from createos_engine.s3.causes import cause, code_of, unreachable


@pytest.mark.parametrize(
    ("status", "code", "headers", "words"),
    [
        (403, "InvalidAccessKeyId", {}, "does not know the access key"),
        (403, "SignatureDoesNotMatch", {}, "secret key does not belong"),
        (403, "AccessDenied", {}, "may not use this bucket"),
        (403, "", {}, "may not use this bucket"),
        (403, "RequestTimeTooSkewed", {}, "clocks"),
        (403, "", {"date": "Fri, 24 May 2013 00:00:00 GMT"}, "clocks"),
        (404, "NoSuchBucket", {}, "no such bucket"),
        (404, "", {}, "no such bucket"),
        (301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}, "it is in eu-west-1"),
        (301, "", {"x-amz-bucket-region": "<b>"}, "another address"),
        (400, "AuthorizationHeaderMalformed", {}, "another region"),
        (503, "SlowDown", {}, "answered 503 SlowDown"),
        (500, "", {}, "answered 500)"),
        (405, "", {}, "answered 405 without an S3 error"),
        (799, "", {}, "cannot serve now"),
    ],
)
def test_answer_against_the_disk_is_a_sentence(status: int, code: str, headers: dict[str, str], words: str) -> None:
    assert words in cause(status, code, headers)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, ""),
        (206, ""),
        (304, ""),
        (404, "NoSuchKey"),
        (404, "NoSuchUpload"),
        (412, "PreconditionFailed"),
        (416, "InvalidRange"),
        (501, "NotImplemented"),
    ],
)
def test_answer_about_one_object_says_nothing_against_the_disk(status: int, code: str) -> None:
    assert cause(status, code, {}) == ""


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 May 2013 00:00:00 GMT"])
def test_date_that_is_none_is_no_wrong_clock(date: str) -> None:
    assert "clocks" not in cause(403, "", {"date": date})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "NoSuchKey"),
        (b"<Error><Code>\n NoSuchBucket </Code></Error>", "NoSuchBucket"),
        (b"<html>not found</html>", ""),
        (b"<Code>a b</Code>", ""),
        (b"<Code>" + b"a" * 65 + b"</Code>", ""),
        (b"", ""),
    ],
)
def test_code_is_read_from_an_error_and_from_nothing_else(body: bytes, code: str) -> None:
    assert code_of(body) == code


def caused(by: BaseException) -> httpx.ConnectError:
    """Return what httpx raises for a fault of the operating system, two layers above it."""
    middle, top = OSError("all connection attempts failed"), httpx.ConnectError("failed")
    middle.__cause__, top.__context__ = BaseExceptionGroup("tried", [by]), middle
    return top


@pytest.mark.parametrize(
    ("exc", "words"),
    [
        (caused(ConnectionRefusedError(errno.ECONNREFUSED, "refused")), "refuses connections"),
        (caused(socket.gaierror(socket.EAI_NONAME, "unknown")), "does not resolve"),
        (caused(OSError(errno.EHOSTUNREACH, "No route to host")), "(No route to host)"),
        (caused(ssl.SSLCertVerificationError(1, "self-signed")), "not trusted"),
        (caused(ssl.SSLError(1, "wrong version number")), "does not speak TLS"),
        (httpx.ConnectError("failed"), "cannot be reached"),
        (httpx.ConnectTimeout("late"), "does not answer in time"),
        (httpx.ReadTimeout("late"), "does not answer in time"),
        (httpx.RemoteProtocolError("no HTTP"), "does not speak HTTP"),
        (httpx.ReadError("reset"), "broke"),
    ],
)
def test_no_answer_at_all_is_a_sentence(exc: httpx.TransportError, words: str) -> None:
    assert words in unreachable(exc)
