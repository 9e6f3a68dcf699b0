"""Why a disk does not work, in sentences: one for each thing that an endpoint may answer, or not answer."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

MOST_ERROR_BYTES = 65_536
# S3 refuses what was signed more than 15 minutes ago or ahead.
_MOST_SKEW_S = 900.0
_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9._]{1,64})\s*</Code>")

_CLOCK = "the clocks of this host and of the endpoint differ by more than 15 minutes; set the one that is wrong"
_KEY = "the endpoint does not know the access key; give the disk keys that are valid"
_PAIR = "the endpoint refused the signature: the secret key does not belong to the access key, or the region is wrong"
_DENIED = "the endpoint knows the keys, but they may not use this bucket; allow them to list, read and write it"
_BUCKET = "the endpoint has no such bucket; make it, or register the disk with another name"
_REGION = "the bucket is in another region than the disk says"

_BY_CODE = {
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "InvalidAccessKeyId": _KEY,
    "InvalidToken": _KEY,
    "ExpiredToken": _KEY,
    "TokenRefreshRequired": _KEY,
    "NotSignedUp": _KEY,
    "SignatureDoesNotMatch": _PAIR,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "NoSuchBucket": _BUCKET,
}
_ELSEWHERE = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_UNROUTED = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})
_REDIRECTS = range(300, 400)
_BY_STATUS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: _KEY,
    HTTPStatus.FORBIDDEN: _DENIED,
    HTTPStatus.NOT_FOUND: _BUCKET,
}


def code_of(body: bytes) -> str:
    """Return the code of an S3 error, empty when the body is none (the answer to a HEAD has no body at all)."""
    found = _CODE.search(body[:MOST_ERROR_BYTES])
    return found[1].decode() if found else ""


def cause(status: int, code: str, headers: Mapping[str, str]) -> str:
    """Return what an answer says against the disk as a sentence with the next step, empty when it says nothing.

    *code* is that of the XML body (`code_of`). Without a code the answer is taken for one to a HEAD of the bucket.
    Names of *headers* are looked up in lower case. What concerns a single object (NoSuchKey) is nothing.
    """
    if status < HTTPStatus.MULTIPLE_CHOICES or status == HTTPStatus.NOT_MODIFIED:
        return ""
    if code in _ELSEWHERE or status in _REDIRECTS:
        return _elsewhere(headers.get("x-amz-bucket-region", ""))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED:
        return f"the endpoint cannot serve now (it answered {status} {code}".rstrip() + "); look at its log"
    if code:
        return _BY_CODE.get(code, "")
    if status == HTTPStatus.FORBIDDEN and _is_skewed(headers.get("date", "")):
        return _CLOCK
    return _BY_STATUS.get(status) or (
        f"the endpoint answered {status} without an S3 error; check that its URL is that of an S3 server"
    )


def unreachable(exc: httpx.TransportError) -> str:
    """Return why there was no answer at all as a sentence with the next step."""
    told = next(filter(None, map(_of_fault, _chain(exc))), "")
    if told:
        return told
    if isinstance(exc, httpx.TimeoutException):
        return "the endpoint does not answer in time; check that it runs and is not overloaded"
    if isinstance(exc, httpx.ConnectError):
        return "the endpoint cannot be reached; check its address and the network of this host"
    if isinstance(exc, httpx.RemoteProtocolError):
        return "what listens at the endpoint hung up or does not speak HTTP; check the port, and whether it is https"
    return "the connection to the endpoint broke; check that it runs"


def _of_fault(fault: BaseException) -> str:
    """Return the sentence for what the operating system or TLS said, empty when it was neither."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        why = getattr(fault, "verify_message", "no reason given")
        return (
            f"the certificate of the endpoint is not trusted ({why}); add its authority to the trust store of this host"
        )
    if isinstance(fault, ssl.SSLError):
        return "the endpoint does not speak TLS as this host does; check the port, and whether it is http"
    if isinstance(fault, socket.gaierror):
        return "the name of the endpoint does not resolve; check its spelling and the DNS of this host"
    if isinstance(fault, ConnectionRefusedError):
        return "the endpoint refuses connections; start the server, or check the port"
    if isinstance(fault, OSError) and fault.errno in _UNROUTED:
        return f"the endpoint cannot be reached ({os.strerror(fault.errno)}); check the network of this host"
    return ""


def _elsewhere(region: str) -> str:
    """Say in which region the bucket is; the name is the endpoint's own word."""
    if re.fullmatch(r"[a-z0-9-]{1,40}", region):
        return f"{_REGION}: it is in {region}; register it with that region and its endpoint"
    return f"{_REGION}, or is reached at another address; register it with its own region and endpoint"


def _is_skewed(date: str) -> bool:
    try:
        there = parsedate_to_datetime(date)
    except ValueError:
        return False
    aware = there if there.tzinfo else there.replace(tzinfo=UTC)
    return abs((aware - datetime.now(UTC)).total_seconds()) > _MOST_SKEW_S


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all it came from, the members of groups among them."""
    waiting: list[BaseException | None] = [exc]
    seen: set[int] = set()
    while waiting:
        fault = waiting.pop(0)
        if fault is None or id(fault) in seen:
            continue
        seen.add(id(fault))
        yield fault
        waiting += [fault.__cause__, fault.__context__]
        if isinstance(fault, BaseExceptionGroup):
            waiting += fault.exceptions
