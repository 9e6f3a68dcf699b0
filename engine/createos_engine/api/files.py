"""Routes of files (wire-api 10): raw bytes in and out, never kept here."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from createos_engine.api.auth import Ported, RuntimeCaller
from createos_engine.api.envelope import success
from createos_engine.api.ports import DownloadPort
from createos_engine.api.presence import CLIENT_CLOSED, unless_gone
from createos_engine.api.wire import FileView, Responses, answers
from createos_engine.errors import EngineError, Invalid

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1/sandboxes", tags=["files"])
OCTETS = "application/octet-stream"
_BINARY: dict[str, Any] = {OCTETS: {"schema": {"type": "string", "format": "binary"}}}
_CONTENT: Responses = {200: {"description": "The bytes of the file.", "content": _BINARY}}
_BODY = {"requestBody": {"content": _BINARY, "required": True}}


def file_path(
    request: Request, path: Annotated[str, Query(description="Absolute path of the file in the sandbox.")] = ""
) -> str:
    """Return the path of the query; bytes that are no UTF-8 would name another file than was meant."""
    try:
        parse_qsl(request.scope["query_string"].decode("ascii"), errors="strict")
    except UnicodeError as exc:
        raise Invalid("path must be UTF-8, percent-encoded", field="path") from exc
    return path


FilePath = Annotated[str, Depends(file_path)]


@router.put("/{sandbox_id}/files", responses=answers(FileView, "The file is in place."), openapi_extra=_BODY)
async def push_file(sandbox_id: str, path: FilePath, request: Request, user: RuntimeCaller, ported: Ported) -> Response:
    """Write a file from the body of the request; the old one stays until all of it has come."""
    length = request.headers.get("content-length")
    try:
        size = None if length is None else int(length)
        written = await ported.files.write(user, sandbox_id, path, size, request.stream())
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED)
    return success({"bytes": written, "path": path})


@router.get("/{sandbox_id}/files", response_class=Response, responses=_CONTENT)
async def pull_file(sandbox_id: str, path: FilePath, user: RuntimeCaller, ported: Ported) -> Response:
    """Answer with the bytes of a file; one that is cut is shorter than its Content-Length says."""
    return FileStream(await ported.files.read(user, sandbox_id, path))


@router.head("/{sandbox_id}/files", response_class=Response, responses=_CONTENT)
async def find_file(sandbox_id: str, path: FilePath, user: RuntimeCaller, ported: Ported) -> Response:
    """Answer whether there is such a file, and its size."""
    download = await ported.files.read(user, sandbox_id, path)
    await download.close()
    return Response(headers=_headers(download), media_type=OCTETS)


def _headers(download: DownloadPort) -> dict[str, str]:
    return {} if download.size is None else {"Content-Length": str(download.size)}


class FileStream(StreamingResponse):
    """The content of a download. One that fails half-way is left unfinished, so that the client notices."""

    media_type = OCTETS

    def __init__(self, download: DownloadPort) -> None:
        super().__init__(download, headers=_headers(download))
        self._download = download

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send it, and let go of it whoever ends it."""
        try:
            await unless_gone(receive, self.stream_response(send))
        except EngineError as exc:
            log.warning("download ended half-way", reason=exc.sentence)
        finally:
            await self._download.close()
