"""The heads of requests and answers as a proxy passes them on: pure functions over h11's header lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import h11

Headers = list[tuple[bytes, bytes]]

# RFC 9110 7.6.1: for one connection only. Framing is made anew on each side, so that both sides agree on it.
_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization"),
        *(b"te", b"trailer", b"transfer-encoding", b"upgrade"),
    }
)
# Ours to say, or not for the guest: no credential of the visitor goes to a program that anybody may have written.
_REPLACED = frozenset({b"host", b"authorization", b"expect", b"forwarded"})
_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})
MOST_HEAD_BYTES = 65_536
_FORWARDED = b"x-forwarded-"


class Malformed(Exception):
    """A request that two readers could understand in two ways, or that no proxy of this kind serves."""


@dataclass(frozen=True)
class Visit:
    """From where, how and to which name a request came."""

    peer: str
    scheme: str
    host: str


def host_of(request: h11.Request) -> str:
    """Return the one Host of a request that is for this server; Malformed otherwise."""
    hosts = _values(request.headers, b"host")
    lengths, codings = _values(request.headers, b"content-length"), _values(request.headers, b"transfer-encoding")
    if len(hosts) != 1:
        raise Malformed("a request has exactly one Host")
    if lengths and codings:
        raise Malformed("a body has a length or a coding, not both")
    if len(request.target) + sum(len(name) + len(value) for name, value in request.headers) > MOST_HEAD_BYTES:
        raise Malformed(f"URL and headers may have {MOST_HEAD_BYTES} bytes; send large input in the body")
    if not request.target.startswith(b"/") and request.target != b"*":
        raise Malformed("this server is no forward proxy")
    return hosts[0].decode("ascii", "replace")


def upgrades(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the protocol that a head offers to go over to, empty when it offers none."""
    listed = list(headers)
    wanted = [token for value in _values(listed, b"connection") for token in _tokens(value)]
    offers = _values(listed, b"upgrade")
    return offers[0] if offers and b"upgrade" in wanted else b""


def is_repeatable(request: h11.Request) -> bool:
    """Tell whether a request may be sent twice: it changes nothing (RFC 9110 9.2.1) and has no body."""
    lengths = _values(request.headers, b"content-length")
    has_body = bool(_values(request.headers, b"transfer-encoding")) or any(value.strip(b"0") for value in lengths)
    return request.method in _SAFE and not has_body


def inward(request: h11.Request, visit: Visit, port: int) -> Headers:
    """Return the headers of a request as the guest's program gets them."""
    kept = [pair for pair in _end_to_end(request) if not _ours(pair[0])]
    said = [
        (b"host", b"localhost:%d" % port),
        (b"x-forwarded-for", visit.peer.encode()),
        (b"x-forwarded-proto", visit.scheme.encode()),
        (b"x-forwarded-host", visit.host.encode()),
    ]
    framing = [(b"transfer-encoding", b"chunked")] if _values(request.headers, b"transfer-encoding") else []
    protocol = upgrades(request.headers)
    offer = [(b"connection", b"upgrade"), (b"upgrade", protocol)] if protocol else []
    return [*said, *kept, *framing, *offer]


def outward(answer: h11.Response | h11.InformationalResponse) -> Headers:
    """Return the headers of an answer as the visitor gets them; h11 adds the framing where there is no length."""
    kept = _end_to_end(answer)
    if _values(answer.headers, b"transfer-encoding"):
        kept = [pair for pair in kept if pair[0].lower() != b"content-length"]
    protocol = upgrades(answer.headers)
    return [*kept, (b"connection", b"upgrade"), (b"upgrade", protocol)] if protocol else kept


def _ours(name: bytes) -> bool:
    lower = name.lower()
    return lower in _REPLACED or lower.startswith(_FORWARDED)


def _end_to_end(message: h11.Request | h11.Response | h11.InformationalResponse) -> Headers:
    """Return the headers that are not for one connection only, in the writer's own spelling."""
    named = {token for value in _values(message.headers, b"connection") for token in _tokens(value)}
    dropped = _HOP | named - {b"content-length", b"host"}
    return [(name, value) for name, value in message.headers.raw_items() if name.lower() not in dropped]


def _values(headers: Sequence[tuple[bytes, bytes]] | Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",") if token.strip()]
