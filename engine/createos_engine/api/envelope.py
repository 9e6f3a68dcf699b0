"""JSend (wire-api 2): the only place that knows how answers and failures look on the wire, and their status codes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from createos_engine.api.malformed import sentences
from createos_engine.errors import (
    Conflict,
    EngineError,
    Forbidden,
    HostFailed,
    Invalid,
    NoSpace,
    NotFound,
    NotListening,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

log = structlog.get_logger(__name__)

STATUS: dict[type[EngineError], HTTPStatus] = {
    Invalid: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    TimedOut: HTTPStatus.REQUEST_TIMEOUT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    NoSpace: HTTPStatus.INSUFFICIENT_STORAGE,
    NotListening: HTTPStatus.BAD_GATEWAY,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    HostFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
}
RETRY_AFTER_S = 2


def status_of(error: EngineError) -> HTTPStatus:
    """Return the status of the nearest listed class."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)


def success(data: Any, status: int = HTTPStatus.OK) -> JSONResponse:
    """Wrap a payload."""
    return JSONResponse({"status": "success", "data": data}, status_code=status, headers=_retry(status))


def listing(rows: list[Any], total: int, limit: int, offset: int) -> JSONResponse:
    """Wrap a page of rows, twice as the contract wants it (wire-api 2.2)."""
    pagination = {"total": total, "limit": limit, "offset": offset, "count": len(rows)}
    return success({"data": rows, "pagination": pagination})


def failure(status: int, data: str | Mapping[str, str], *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Wrap a failure. A 5xx carries `message` and `code` as well as the `data` that the official CLI shows."""
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return JSONResponse({"status": "fail", "data": data}, status_code=status, headers=headers)
    text = data if isinstance(data, str) else "; ".join(data.values())
    body = {"status": "error", "message": text, "code": int(status), "data": text}
    return JSONResponse(body, status_code=status, headers=_retry(status))


def _retry(status: int) -> dict[str, str] | None:
    return {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None


async def engine_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an expected failure."""
    assert isinstance(error, EngineError)
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request failed", reason=error.reason, hint=error.hint, **error.context)
    return failure(status, {error.field: error.sentence} if error.field else error.sentence)


async def malformed(_: Request, error: Exception) -> JSONResponse:
    """Answer a request whose form is wrong: one sentence for each field."""
    assert isinstance(error, RequestValidationError)
    return failure(HTTPStatus.BAD_REQUEST, sentences(error.errors()))


async def http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework refuses: unknown routes and methods, bodies that cannot be read."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        text = f"this server does not offer {request.method} {request.url.path}"
        return failure(status, text, headers=error.headers)
    if status is HTTPStatus.BAD_REQUEST:
        return failure(status, {"body": "the body cannot be read as JSON"})
    return failure(status, str(error.detail))
