"""What every request passes through, as plain ASGI: request id, size limit, host check, and the last net for bugs."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from createos_engine.api.envelope import failure
from createos_engine.errors import TooLarge

log = structlog.get_logger(__name__)

BODY_LIMIT_BYTES = 16 * 2**20
PEER_UID = "createos.peer_uid"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Entrance:
    """The outermost layer. A request id is always ours: one from outside could forge lines of the log."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: tuple[str, ...]) -> None:
        self._app = app
        self._hosts = _LOOPBACK | frozenset(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request_id):
            log.debug("request", method=scope["method"], path=scope["path"])
            refusal = self._refusal(scope)
            if refusal:
                await failure(*refusal)(scope, receive, send_with_id)
                return
            try:
                await self._app(scope, _limited(receive), send_with_id)
            except Exception:
                log.exception("request ended with a bug", method=scope["method"], path=scope["path"])
                if not started:
                    text = f"createosd has made a mistake; its log has the details under request {request_id}"
                    await failure(HTTPStatus.INTERNAL_SERVER_ERROR, text)(scope, receive, send_with_id)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Keep web pages from driving an API on loopback (design 14); nobody but local users has the unix socket."""
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > BODY_LIMIT_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large().sentence
        if PEER_UID in scope:
            return None
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if host not in self._hosts:
            return HTTPStatus.FORBIDDEN, f"this server does not answer to the host name {host!r}; see allowed_hosts"
        origin = headers.get("origin")
        if origin is not None and (urlsplit(origin).hostname or "") not in self._hosts:
            return HTTPStatus.FORBIDDEN, "web pages of other hosts may not use this API"
        return None


def _limited(receive: Receive) -> Receive:
    """Count a body without a length as it comes in."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_LIMIT_BYTES:
            raise _too_large()
        return message

    return counted


def _too_large() -> TooLarge:
    return TooLarge(f"a request body may have {BODY_LIMIT_BYTES} bytes", hint="send large input as a file")
