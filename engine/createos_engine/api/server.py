"""One uvicorn on two doors: a unix socket whose peers are known by uid, and loopback TCP."""

from __future__ import annotations

import asyncio
import errno
import grp
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

from createos_engine.api.upgrade import PeerProtocol
from createos_engine.errors import HostFailed

log = structlog.get_logger(__name__)

_BACKLOG = 1024
_KNOCK_S = 1.0
_SOCKET_MODE = 0o660


class _Server(uvicorn.Server):
    """A server that leaves signals to the daemon and says when it accepts."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.bound = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept, and say so."""
        await super().startup(sockets)
        self.bound.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class ApiServer:
    """Binds and serves; `url` is the TCP address once it has started."""

    def __init__(self, app: FastAPI, *, unix_socket: Path, socket_group: str, host: str, port: int) -> None:
        self._app = app
        self._path = unix_socket
        self._group = socket_group
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> None:
        """Bind both doors and serve; HostFailed when one of them is taken."""
        doors = [self._bind_unix()]
        try:
            doors.append(self._bind_tcp())
        except HostFailed:
            doors[0].close()
            self._path.unlink(missing_ok=True)
            raise
        config = uvicorn.Config(
            self._app,
            http=PeerProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="critical",
            server_header=False,
            timeout_keep_alive=75,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=doors), name="api")
        bound = asyncio.create_task(self._server.bound.wait())
        await asyncio.wait([bound, self._serving], return_when=asyncio.FIRST_COMPLETED)
        if not bound.done():
            bound.cancel()
            await self._serving
            raise HostFailed("the API server ended while it started", hint="see the log of createosd")

    async def stop(self, drain_s: float) -> None:
        """Stop accepting, give requests *drain_s* seconds to finish, then close what is left."""
        if self._server is None or self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = int(drain_s)
        self._server.should_exit = True
        await self._serving
        self._path.unlink(missing_ok=True)

    def _bind_unix(self) -> socket.socket:
        _remove_stale(self._path)
        door = socket.socket(socket.AF_UNIX)
        before = os.umask(0o777 & ~_SOCKET_MODE)
        try:
            door.bind(str(self._path))
        except OSError as exc:
            door.close()
            raise HostFailed(f"the API socket {self._path} cannot be made: {exc}", hint="set run_dir") from exc
        finally:
            os.umask(before)
        with suppress(KeyError):
            os.chown(self._path, -1, grp.getgrnam(self._group).gr_gid)
        door.listen(_BACKLOG)
        return door

    def _bind_tcp(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # asyncio switches Nagle's algorithm off only where the protocol is named; an answer takes 40 ms more with it.
        door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((self._host, self._port))
        except OSError as exc:
            door.close()
            taken = exc.errno == errno.EADDRINUSE
            said = "something else listens there" if taken else str(exc)
            raise HostFailed(
                f"the API cannot listen on {self._host}:{self._port}: {said}", hint="set listen_port or listen_host"
            ) from exc
        door.listen(_BACKLOG)
        name = f"[{self._host}]" if family == socket.AF_INET6 else self._host
        self.url = f"http://{name}:{door.getsockname()[1]}"
        return door


def _remove_stale(path: Path) -> None:
    """Remove a socket file that nobody listens on; HostFailed when somebody does, or when it is no socket."""
    if not path.exists():
        return
    if not path.is_socket():
        raise HostFailed(f"{path} is in the way of the API socket", hint="remove it, or set run_dir")
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(_KNOCK_S)
        try:
            knock.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as exc:
            log.debug("socket does not answer", path=str(path), reason=str(exc))
    raise HostFailed(f"another daemon listens on {path}", hint="stop it first, or set run_dir")
