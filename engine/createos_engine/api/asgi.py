"""What every request passes through, as plain ASGI: request id, size limit, host check, and the last net for bugs."""

from __future__ import annotations

import re
import secrets
from http import HTTPStatus
from time import perf_counter
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from createos_engine.api.envelope import failure

log = structlog.get_logger(__name__)

BODY_LIMIT_BYTES = 16 * 2**20
PEER_UID = "createos.peer_uid"
# Files come in a stream that nobody keeps; the service that writes them has a limit of its own.
_UPLOAD = re.compile(r"/v1/sandboxes/[^/]+/files")
_TOO_LARGE = f"a request body may have {BODY_LIMIT_BYTES} bytes; send large input as a file"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Entrance:
    """The outermost layer. A request id is always ours: one from outside could forge lines of the log."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: tuple[str, ...]) -> None:
        self._app = app
        self._hosts = _LOOPBACK | {host.lower() for host in allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        begun, status = perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request_id):
            try:
                await self._admit(scope, receive, send_with_id)
            except Exception:
                log.exception("request ended with a bug", method=scope["method"], path=scope["path"])
                if not status:
                    text = f"createosd has made a mistake; its log has the details under request {request_id}"
                    await failure(HTTPStatus.INTERNAL_SERVER_ERROR, text)(scope, receive, send_with_id)
            ms = round((perf_counter() - begun) * 1000, 1)
            log.debug("request", method=scope["method"], path=scope["path"], status=status, ms=ms)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if refusal := self._refusal(scope):
            await failure(*refusal)(scope, receive, send)
        else:
            await self._app(scope, receive if _is_upload(scope) else _limited(receive), send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Keep web pages from driving an API on loopback (design 14); nobody but local users has the unix socket."""
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or (int(length[:20]) > BODY_LIMIT_BYTES and not _is_upload(scope)):
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE
        if PEER_UID in scope:
            return None
        # Every one of them: a second Host that nobody reads would be a way around the first.
        hosts = [_host_name(f"//{host}") for host in headers.getlist("host")] or [""]
        strange = [host for host in hosts if host not in self._hosts]
        if strange:
            text = f"this server does not answer to the host name {strange[0]!r}; add it to the setting allowed_hosts"
            return HTTPStatus.FORBIDDEN, text
        if any(_host_name(origin) not in self._hosts for origin in headers.getlist("origin")):
            return HTTPStatus.FORBIDDEN, "web pages of other hosts may not use this API; see the setting allowed_hosts"
        return None


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "PUT" and _UPLOAD.fullmatch(scope["path"]) is not None


def _host_name(url: str) -> str:
    """Return the host of a URL, empty when there is none or it is nonsense."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _limited(receive: Receive) -> Receive:
    """Count a body without a length as it comes in."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_LIMIT_BYTES:
            # The framework turns every other exception in a body into a 400.
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return message

    return counted
