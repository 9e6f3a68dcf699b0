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

from createos_engine.errors import (
    Conflict,
    EngineError,
    Forbidden,
    HostFailed,
    Invalid,
    NotFound,
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
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    HostFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
}
RETRY_AFTER_S = 2


def status_of(error: EngineError) -> HTTPStatus:
    """Return the status of the nearest listed class."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)


def success(data: Any, status: int = HTTPStatus.OK) -> JSONResponse:
    """Wrap a payload."""
    return JSONResponse({"status": "success", "data": data}, status_code=status)


def listing(rows: list[Any], total: int, limit: int, offset: int) -> JSONResponse:
    """Wrap a page of rows, twice as the contract wants it (wire-api 2.2)."""
    pagination = {"total": total, "limit": limit, "offset": offset, "count": len(rows)}
    return success({"data": rows, "pagination": pagination})


def failure(status: int, data: str | Mapping[str, str]) -> JSONResponse:
    """Wrap a failure. A 5xx carries `message` and `code` as well as the `data` that the official CLI shows."""
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return JSONResponse({"status": "fail", "data": data}, status_code=status)
    text = data if isinstance(data, str) else "; ".join(data.values())
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    body = {"status": "error", "message": text, "code": int(status), "data": text}
    return JSONResponse(body, status_code=status, headers=headers)


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
    sentences: dict[str, str] = {}
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"][1:]) or "body"
        if problem["type"] == "json_invalid":
            field = "body"
        sentences.setdefault(field, _sentence(problem))
    return failure(HTTPStatus.BAD_REQUEST, sentences)


def _sentence(problem: Mapping[str, Any]) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{problem['loc'][-1]} is required"
    if problem["type"] == "json_invalid":
        return f"the body is not valid JSON: {problem.get('ctx', {}).get('error', text)}"
    return text[:1].lower() + text[1:]


async def http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an unknown route or method."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return failure(error.status_code, f"this server does not offer {request.method} {request.url.path}")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return failure(error.status_code, f"{request.method} is not allowed on {request.url.path}")
    return failure(error.status_code, str(error.detail))
