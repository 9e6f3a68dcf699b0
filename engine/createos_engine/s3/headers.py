"""Which headers of a request and of an answer go through, and what they may say: what is not listed does not pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus

from createos_engine.s3.addressing import encoded_key
from createos_engine.s3.object_keys import decoded, require_below
from createos_engine.s3.refusal import Refusal, malformed
from createos_engine.s3.signing import UNSIGNED_PAYLOAD

Headers = Iterable[tuple[bytes, bytes]]

COPY_SOURCE = "x-amz-copy-source"
_META = "x-amz-meta-"
_VENDOR = "x-amz-"
_ANY = re.compile(r"[\x20-\x7e]*")
_TOKEN = re.compile(r"[A-Za-z0-9+/=_-]{1,128}")
_CHECKSUMS = {f"x-amz-checksum-{name}": _TOKEN for name in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")}
_CONDITIONS = dict.fromkeys(("if-match", "if-none-match", "if-modified-since", "if-unmodified-since"), _ANY)
_READING = {"range": re.compile(r"bytes=[0-9, -]{1,100}"), "x-amz-checksum-mode": re.compile("ENABLED"), **_CONDITIONS}
_WRITING = {
    **dict.fromkeys(("content-type", "content-encoding", "content-disposition", "content-language"), _ANY),
    **dict.fromkeys(("cache-control", "expires", "content-md5", "if-match", "if-none-match"), _ANY),
    **_CHECKSUMS,
    "x-amz-checksum-algorithm": _TOKEN,
    "x-amz-checksum-type": _TOKEN,
    "x-amz-sdk-checksum-algorithm": _TOKEN,
}
_COPYING = {
    "x-amz-metadata-directive": re.compile("COPY|REPLACE"),
    "x-amz-copy-source-range": re.compile(r"bytes=\d{1,20}-\d{1,20}"),
    **{f"{COPY_SOURCE}-{name}": _ANY for name in _CONDITIONS},
}
_BY_METHOD: dict[str, dict[str, re.Pattern[str]]] = {
    "GET": _READING,
    "HEAD": _READING,
    "PUT": {**_WRITING, **_COPYING},
    "POST": _WRITING,
    "DELETE": {"if-match": _ANY},
}
_WITH_METADATA = frozenset({"PUT", "POST"})
# What the guest says about its own signature, or what is the case anyway.
_OURS = frozenset({"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-user-agent"})
_USUAL = {"x-amz-acl": "private", "x-amz-storage-class": "STANDARD"}
_CHUNKED = frozenset({"x-amz-decoded-content-length", "x-amz-trailer"})
_DIGEST = re.compile("[0-9a-f]{64}")

_ANSWERED = frozenset(
    {
        *("content-type", "content-range", "content-encoding", "content-disposition", "content-language"),
        *("accept-ranges", "cache-control", "etag", "expires", "last-modified"),
        *("x-amz-request-id", "x-amz-bucket-region", "x-amz-storage-class", "x-amz-mp-parts-count"),
        *("x-amz-checksum-type", *_CHECKSUMS),
    }
)


def inward(method: str, headers: Headers, bucket: str, sub_path: str) -> dict[str, str]:
    """Return the headers that go to the endpoint, with names in lower case. Raises Refusal.

    What S3 gives no meaning to is left out; of what it does, all is refused that is not listed here, or not now.
    """
    allowed = _BY_METHOD.get(method, {})
    passed: dict[str, str] = {}
    for name, value in _texts(headers):
        _refuse_chunks(name, value)
        if name == COPY_SOURCE and method == "PUT":
            kept = copy_source(value, bucket, sub_path)
        elif name in allowed or (name.startswith(_META) and method in _WITH_METADATA):
            kept = _checked(name, value, allowed.get(name, _ANY))
        elif name in _OURS or not name.startswith(_VENDOR) or _USUAL.get(name) == value:
            continue
        else:
            raise Refusal(f"the header {name[:64]} is not allowed on a disk; leave it out")
        if name in passed:
            raise malformed(f"the header {name[:64]} is there twice; send it once")
        passed[name] = kept
    return passed


def payload_hash(headers: Headers) -> str:
    """Return the digest that the guest gives for its body, or that there is none."""
    given = [value for name, value in _texts(headers) if name == "x-amz-content-sha256"]
    return given[0] if len(given) == 1 and _DIGEST.fullmatch(given[0]) else UNSIGNED_PAYLOAD


def copy_source(value: str, bucket: str, sub_path: str) -> str:
    """Return where an object is copied from, encoded anew. Raises Refusal for another bucket, folder or version."""
    if "?" in value:
        raise Refusal("versions of objects are not served on a disk; copy without a versionId")
    name, _, key = decoded(value).removeprefix("/").partition("/")
    if name != bucket or not key:
        raise Refusal("objects are copied within the bucket of the disk only; name it in x-amz-copy-source")
    require_below(key, sub_path)
    return f"/{bucket}/{encoded_key(key)}"


def outward(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer that the guest may see, without its framing."""
    return [
        (name.encode(), value.encode("latin-1", "replace"))
        for name, value in headers.items()
        if name in _ANSWERED or name.startswith(_META)
    ]


def _texts(headers: Headers) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        yield name.decode("latin-1").lower(), value.decode("latin-1")


def _refuse_chunks(name: str, value: str) -> None:
    """Refuse bodies that are signed piece by piece: they could not be signed anew without reading them twice."""
    streaming = name == "x-amz-content-sha256" and value.startswith("STREAMING-")
    if streaming or name in _CHUNKED or (name == "content-encoding" and "aws-chunked" in value.lower()):
        raise Refusal(
            "bodies in aws-chunked encoding are not taken on a disk; send the body as it is",
            status=HTTPStatus.NOT_IMPLEMENTED,
            code="NotImplemented",
        )


def _checked(name: str, value: str, form: re.Pattern[str]) -> str:
    if not form.fullmatch(value):
        raise malformed(f"the header {name[:64]} has a value that is not allowed on a disk")
    return value
