"""The door itself: a socket, a host key, and what is said when there is none."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from pathlib import Path

import asyncssh
import structlog

from createos_engine.errors import HostFailed
from createos_engine.gateway.connection import Connection, Visitor
from createos_engine.gateway.host_key import host_key
from createos_engine.gateway.ports import AccessPort
from createos_engine.gateway.register import Register
from createos_engine.words import SshGateway

log = structlog.get_logger(__name__)

_BACKLOG = 100
_LOGIN_GRACE_S = 30
_RETRY_S = 10.0
# AES-GCM is several times faster in Python than what OpenSSH would prefer; every client has one of these.
_CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes128-ctr"]


class GatewayServer:
    """Listens for SSH. A door that cannot be opened now is tried again; the engine works without it."""

    def __init__(self, access: AccessPort, *, host: str, port: int, key: Path, enabled: bool) -> None:
        """Port 0 takes a free one."""
        self._register = Register(access)
        self._host = host
        self._port = port
        self._key = key
        self._enabled = enabled
        self._server: asyncio.Server | None = None
        self._announce = access.announce

    async def keep_open(self, say: Callable[[str], None]) -> None:
        """Open the door, trying again while something stands in the way; `say` hears what that is, or nothing."""
        if not self._enabled:
            self._announce(SshGateway(self._host, self._port, reason="the SSH gateway is switched off (ssh_gateway)"))
            return
        said = ""
        while self._server is None:
            try:
                await self._open()
            except HostFailed as exc:
                if exc.sentence != said:
                    log.warning("the SSH gateway cannot start yet", reason=exc.sentence)
                said = exc.sentence
                self._announce(SshGateway(self._host, self._port, reason=said))
                say(said)
                await asyncio.sleep(_RETRY_S)
        say("")

    async def stop(self, drain_s: float) -> None:
        """Close the door, tell those who are inside, and end their connections within *drain_s* seconds."""
        if self._server:
            self._server.close()
        await self._register.close(drain_s)

    async def _open(self) -> None:
        key = host_key(self._key)
        options = await asyncssh.SSHServerConnectionOptions.construct(
            server_factory=lambda: Visitor(self._register),
            server_host_keys=[key],
            server_version="createos",
            encryption_algs=_CIPHERS,
            compression_algs=None,
            login_timeout=_LOGIN_GRACE_S,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_scp=False,
            encoding=None,
        )
        door = self._bind()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(options), sock=door, backlog=_BACKLOG
        )
        host, port = door.getsockname()[:2]
        self._announce(SshGateway(host, port, key.export_public_key().decode().strip(), key.get_fingerprint()))
        log.info("ssh gateway", host=host, port=port)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        door = socket.socket(family, socket.SOCK_STREAM)
        try:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((self._host, self._port))
        except OSError as exc:
            door.close()
            said = "something else listens there" if exc.errno == errno.EADDRINUSE else str(exc)
            raise HostFailed(
                f"the SSH gateway cannot listen on {self._host}:{self._port}: {said}", hint="set ssh_port or ssh_host"
            ) from exc
        return door
