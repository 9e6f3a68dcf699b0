"""Of the headers only those go through that are listed, both ways."""

from __future__ import annotations

import pytest
from createos_engine.s3.headers import inward, outward, payload_hash
from createos_engine.s3.refusal import Refusal
from createos_engine.s3.signing import EMPTY_PAYLOAD, UNSIGNED_PAYLOAD


def passed(method: str, **headers: str) -> dict[str, str]:
    pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return inward(method, pairs, "photos", "a/b")


def test_what_the_guest_says_about_itself_is_left_out() -> None:
    assert passed(
        "GET",
        host="photos.s3.test",
        authorization="AWS4-HMAC-SHA256 Credential=made-up",
        cookie="a=b",
        date="today",
        user_agent="s3fs",
        accept_encoding="gzip",
        x_amz_date="20130524T000000Z",
        x_amz_content_sha256=EMPTY_PAYLOAD,
        x_amz_security_token="made-up",
        x_forwarded_for="203.0.113.1",
        seaweed_anything="1",
        content_length="3",
        connection="close",
    ) == {}  # fmt: skip


def test_what_an_object_carries_goes_with_it() -> None:
    carried = {"content-type": "text/plain", "x-amz-meta-mode": "33188", "x-amz-meta-xattr": "%7B%22a%22:1%7D"}

    assert passed("PUT", **carried, x_amz_acl="private", x_amz_storage_class="STANDARD") == carried


def test_conditions_and_ranges_go_with_a_read() -> None:
    asked = {"range": "bytes=0-9", "if-none-match": '"e"', "if-modified-since": "Fri, 24 May 2013 00:00:00 GMT"}

    assert passed("GET", **asked) == asked


@pytest.mark.parametrize(
    "name",
    [
        "x-amz-acl", "x-amz-grant-read", "x-amz-tagging", "x-amz-website-redirect-location", "x-amz-request-payer",
        "x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-key", "x-amz-object-lock-mode",
        "x-amz-bypass-governance-retention", "x-amz-expected-bucket-owner", "x-amz-storage-class", "x-amz-mfa",
        "x-amz-write-offset-bytes", "x-amz-rename-source",
    ],
)  # fmt: skip
def test_header_that_changes_the_meaning_is_refused_by_name(name: str) -> None:
    with pytest.raises(Refusal, match=name):
        passed("PUT", **{name: "anything"})


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_only_a_put_copies(method: str) -> None:
    with pytest.raises(Refusal, match="x-amz-copy-source"):
        passed(method, x_amz_copy_source="/photos/a/b/c")


@pytest.mark.parametrize("source", ["/photos/a/b/c%20d", "photos/a/b/c d", "photos/a%2Fb%2fc%20d"])
def test_copy_source_is_encoded_anew(source: str) -> None:
    assert passed("PUT", x_amz_copy_source=source) == {"x-amz-copy-source": "/photos/a/b/c%20d"}


@pytest.mark.parametrize(
    "source",
    [
        *(
            "/other/a/b/c",
            "photos/a/c",
            "photos/a/b",
            "photos/a/b/../c",
            "photos/a/b/%2e%2e/c",
            "photos",
            "photos/",
            "",
        ),
        *("//photos/a/b/c", "arn:aws:s3:::photos/a/b/c", "photos/a/b/c?versionId=1", "photos/a/b/%00"),
    ],
)
def test_copy_from_elsewhere_is_refused(source: str) -> None:
    with pytest.raises(Refusal):
        passed("PUT", x_amz_copy_source=source)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
        {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
        {"content-encoding": "gzip, AWS-chunked"},
        {"x-amz-decoded-content-length": "3"},
        {"x-amz-trailer": "x-amz-checksum-crc32"},
    ],
)
def test_body_that_is_signed_in_pieces_is_not_taken(headers: dict[str, str]) -> None:
    with pytest.raises(Refusal) as caught:
        passed("PUT", **headers)

    assert caught.value.status == 501


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-meta-a", "\xfc"),
        ("range", "bytes=a-b"),
        ("x-amz-metadata-directive", "ANYTHING"),
        ("x-amz-copy-source-range", "bytes=0-"),
    ],
)
def test_value_that_is_none_is_refused(name: str, value: str) -> None:
    with pytest.raises(Refusal, match=name):
        passed("GET" if name == "range" else "PUT", **{name: value})


def test_header_that_is_there_twice_is_refused() -> None:
    with pytest.raises(Refusal, match="twice"):
        inward("GET", [(b"range", b"bytes=0-1"), (b"Range", b"bytes=2-3")], "photos", "")


@pytest.mark.parametrize(
    ("given", "signed"),
    [(EMPTY_PAYLOAD, EMPTY_PAYLOAD), ("UNSIGNED-PAYLOAD", UNSIGNED_PAYLOAD), ("e3b0", UNSIGNED_PAYLOAD)],
)
def test_digest_of_the_guest_is_signed_when_it_is_one(given: str, signed: str) -> None:
    assert payload_hash([(b"x-amz-content-sha256", given.encode())]) == signed
    assert payload_hash([]) == UNSIGNED_PAYLOAD


def test_answer_keeps_what_describes_the_object_and_nothing_else() -> None:
    shown = {"etag": '"e"', "last-modified": "x", "content-type": "text/plain", "x-amz-meta-mode": "1"}
    hidden = {
        "set-cookie": "a=b",
        "location": "http://203.0.113.9/",
        "server": "x",
        "connection": "close",
        "x-amz-id-2": "x",
        "content-length": "1",
        "transfer-encoding": "chunked",
    }

    assert outward({**shown, **hidden}) == [(name.encode(), value.encode()) for name, value in shown.items()]
