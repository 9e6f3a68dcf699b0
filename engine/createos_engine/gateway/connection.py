"""One SSH connection: who is at the other end, which sandbox he may enter, what he may open there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Any

import asyncssh
import structlog

from createos_engine.gateway.channel import GatewayChannel
from createos_engine.gateway.forward import Forward, dial
from createos_engine.gateway.pipe import Pipe
from createos_engine.gateway.register import Register
from createos_engine.gateway.session import Session
from createos_engine.pubkeys import identity
from createos_engine.services.guests import Guest

log = structlog.get_logger(__name__)

# OpenSSH gives up after six keys; whoever has more in his agent gets some patience.
MOST_KEYS = 20
MOST_CHANNELS = 64
# What a client may send ahead on a channel, and in one packet.
WINDOW_BYTES, PACKET_BYTES = 1 << 20, 32_768
# Written and not yet taken by the client: what may be queued before writers wait, and before it is cut off.
_HIGH_WATER_BYTES = 1 << 20
_CUT_OFF_BYTES = 8 << 20


class Connection(asyncssh.SSHServerConnection):
    """asyncssh's connection, with an eye on how much waits to be sent, which asyncssh itself does not have."""

    def __init__(self, options: asyncssh.SSHServerConnectionOptions) -> None:
        super().__init__(asyncio.get_running_loop(), options)
        self.room = asyncio.Event()
        self.room.set()
        self._wire: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what is kept of writes."""
        assert isinstance(transport, asyncio.Transport)
        self._wire = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        super().connection_made(transport)

    def data_received(self, data: bytes, datatype: asyncssh.DataType = None) -> None:
        """Take data; a client that asks on and on and never reads the answers is cut off."""
        if self._wire and self._wire.get_write_buffer_size() > _CUT_OFF_BYTES:
            self._wire.abort()
            return
        super().data_received(data, datatype)

    def pause_writing(self) -> None:
        """The client does not read."""
        self.room.clear()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.room.set()

    def connection_lost(self, exc: Exception | None = None) -> None:
        """Wake everybody who waits for room."""
        self.room.set()
        super().connection_lost(exc)

    def session_channel(self) -> GatewayChannel:
        """Return a channel for a session, with bounds of our own."""
        self._update_recv_pktlen(PACKET_BYTES)
        loop = asyncio.get_running_loop()
        return GatewayChannel(self, loop, True, False, False, 0, 0, None, "strict", WINDOW_BYTES, PACKET_BYTES)


class Visitor(asyncssh.SSHServer):
    """What asyncssh asks about one connection."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._connection: Connection
        self._sandboxes: tuple[str, ...] = ()
        self._keys = 0
        self._channels = 0
        self._here = True

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Register it as one that has yet to say who it is."""
        assert isinstance(conn, Connection)
        self._connection = conn
        self._register.came(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._here = False
        self._register.left(self._connection)
        log.debug("ssh connection ended", reason=str(exc or ""))

    def begin_auth(self, _username: str) -> bool:
        """Everybody has to prove who he is, also at a door that does not exist."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys are the only way."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool | Coroutine[Any, Any, bool]:
        """Tell whether the key opens a sandbox of this id or name.

        asyncssh checks the signature and ends the authentication in the same step, without a pause, so that the last
        answer here is the one that counts.
        """
        self._sandboxes = self._register.access.admitted(username, identity(key))
        return bool(self._sandboxes) or self._refuse()

    def auth_completed(self) -> None:
        """The signature was right."""
        self._register.known(self._connection)
        log.info("ssh login", sandboxes=self._sandboxes, peer=self._connection.get_extra_info("peername"))

    def session_requested(self) -> Any:
        """Open a session channel."""
        self._count_channel()
        pipe = Pipe(self._connection.room)
        pipe.on_lost(self._channel_lost)
        return self._connection.session_channel(), Session(self._entrance, pipe, self._register.start)

    def connection_requested(self, dest_host: str, dest_port: int, _orig_host: str, _orig_port: int) -> Any:
        """Open a connection inside the guest."""
        self._count_channel()
        return self._connection.create_tcp_channel(None, "strict", WINDOW_BYTES, PACKET_BYTES), self._forward(
            dest_host, dest_port
        )

    async def _forward(self, host: str, port: int) -> Forward:
        pipe = Pipe(self._connection.room)
        try:
            session = await dial(self._entrance, pipe, (host, port), self._register.start, lambda: self._here)
        except BaseException:
            self._channel_lost()
            raise
        pipe.on_lost(self._channel_lost)
        return session

    def _entrance(self) -> AbstractContextManager[Guest]:
        return self._register.access.entered(self._sandboxes)

    async def _refuse(self) -> bool:
        """Say no, more slowly to those who have been told so often."""
        self._keys += 1
        await self._register.patience.refused(str((self._connection.get_extra_info("peername") or ("",))[0]))
        if self._keys >= MOST_KEYS and self._here:
            self._connection.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many keys were tried")
        return False

    def _count_channel(self) -> None:
        if self._channels >= MOST_CHANNELS:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, f"at most {MOST_CHANNELS} channels of a connection are open at a time"
            )
        self._channels += 1

    def _channel_lost(self) -> None:
        self._channels -= 1
