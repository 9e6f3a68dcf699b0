"""The fake API behind a real unix socket, for command lines that run as processes on real terminals."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from createos_cli.wire import Request

from tests.unit.cli.fake_api import FakeApi


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    api: FakeApi


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        headers = {name: value for name, value in self.headers.items() if name.lower() != "x-api-key"}
        response = self.server.api(Request(self.command, self.path, headers, body, None))
        payload = b"".join(response.pieces)
        self.send_response(response.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815

    def address_string(self) -> str:
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serve(api: FakeApi, path: Path) -> Iterator[Path]:
    """Serve on a unix socket for the time of a block."""
    with _Server(str(path), _Handler) as server:
        server.api = api
        thread = threading.Thread(target=server.serve_forever, name="fake api")
        thread.start()
        try:
            yield path
        finally:
            server.shutdown()
            thread.join(120)
