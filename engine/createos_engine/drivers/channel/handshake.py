"""How a channel begins: reach the socket, send RESET until the agent answers READY (PROTOCOL.md, epochs)."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from createos_engine.drivers.channel.answers import integer, parse_object, printable
from createos_engine.drivers.channel.connection import Connection
from createos_engine.drivers.channel.errors import ProtocolViolation
from createos_engine.drivers.channel.frames import NONCE_BYTES, RESET_MARKER, FrameType, encode
from createos_engine.errors import GuestFailed

VERSION = 1

_PREAMBLE = bytes(65_536)
_REPEAT_S = 0.25
_RETRY_S = 0.02
# sun_path of unix(7) without its NUL. uvloop cuts longer ones without a word.
_LONGEST_PATH_BYTES = 107
_CLOSED = "another handshake has failed"


@dataclass(frozen=True)
class Ready:
    """What the agent says of itself. `boot_state` is `ready` or `failed`, `boot_ms` the time to it since power-on."""

    version: int
    agent: str
    capabilities: tuple[str, ...]
    boot_state: str
    boot_reason: str
    boot_ms: int

    @classmethod
    def parse(cls, payload: bytes) -> Ready:
        """Return the object of a READY, or raise GuestFailed."""
        said = parse_object(payload, "READY")
        version = integer(said, "version")
        if version != VERSION:
            raise GuestFailed(
                f"the guest agent speaks protocol version {version}, this engine speaks {VERSION}",
                hint="build the images again and create the sandbox anew",
            )
        boot, capabilities = said.get("boot"), said.get("capabilities")
        if not isinstance(boot, dict) or not isinstance(capabilities, list):
            raise GuestFailed(
                "the guest agent's READY has no valid boot and capabilities", hint="build the images again"
            )
        return cls(
            version=version,
            agent=printable(said.get("agent")),
            capabilities=tuple(printable(item) for item in capabilities),
            boot_state="ready" if boot.get("state") == "ready" else "failed",
            boot_reason=printable(boot.get("reason")),
            boot_ms=integer(said, "boot_ms"),
        )


class Handshake:
    """One attempt to open the channel behind *path*; its fields are the result and, until then, how far it came."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._obstacle = f"{path} was not reached"
        self.nonce = b""
        self.resets_sent = 0

    async def run(self, deadline_s: float) -> tuple[Connection, Ready]:
        """Return a connection that has READY behind it, or raise GuestFailed that says where it stopped.

        The machine may still be starting: until the deadline, a missing socket and a closed connection are tried again.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    connection = await self._reach()
                    try:
                        return connection, await self._greet(connection)
                    except ConnectionError as exc:
                        self._obstacle = f"{exc} before the agent answered"
                        await asyncio.sleep(_REPEAT_S)
        except ProtocolViolation as exc:
            raise GuestFailed(f"the guest broke the protocol: {exc.reason}") from exc
        except TimeoutError as exc:
            raise GuestFailed(
                f"the guest agent did not answer within {deadline_s:g} s: {self._obstacle}",
                hint="the machine's console log says how far it booted",
                path=self._path,
            ) from exc

    async def _reach(self) -> Connection:
        """Return a connection to the socket as soon as something listens on it."""
        loop = asyncio.get_running_loop()
        if (size := len(os.fsencode(self._path))) > _LONGEST_PATH_BYTES:
            raise GuestFailed(f"{self._path} has {size} bytes; a socket's path has at most {_LONGEST_PATH_BYTES}")
        while True:
            self.nonce = os.urandom(NONCE_BYTES)
            try:
                _, connection = await loop.create_unix_connection(lambda: Connection(self.nonce), str(self._path))
            except FileNotFoundError:
                self._obstacle = f"{self._path} does not exist: the machine is not running"
                await asyncio.sleep(_RETRY_S)
            except (ConnectionError, BlockingIOError) as exc:
                self._obstacle = f"nothing accepts connections on {self._path} ({exc.strerror})"
                await asyncio.sleep(_RETRY_S)
            except OSError as exc:
                raise GuestFailed(f"the channel socket {self._path} cannot be opened: {exc}") from exc
            else:
                return connection

    async def _greet(self, connection: Connection) -> Ready:
        """Send RESET until READY comes; the connection is closed after any failure."""
        self.resets_sent = 0
        try:
            while not connection.ready.done():
                if connection.outlet.empty:
                    self._reset(connection)
                await asyncio.wait({connection.ready}, timeout=_REPEAT_S)
            return Ready.parse(connection.ready.result())
        except BaseException:
            self._obstacle = _silence(connection)
            await connection.close(_CLOSED)
            raise

    def _reset(self, connection: Connection) -> None:
        """Send the zeros that complete a half-written frame of an earlier connection, and RESET."""
        self.resets_sent += 1
        connection.outlet.write(_PREAMBLE + encode(FrameType.RESET, 0, RESET_MARKER + self.nonce))


def _silence(connection: Connection) -> str:
    """Return what is known of a guest that has not answered."""
    if connection.received_bytes:
        return f"it sent {connection.received_bytes} bytes, none of them an answer to this connection"
    return "it has said nothing; it is still booting, or another client holds the channel"
