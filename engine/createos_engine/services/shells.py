"""Interactive shells over a connection that was HTTP (wire-api 9.2)."""

from __future__ import annotations

import asyncio
import struct

from createos_engine.drivers.channel.agent import Program
from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.stream import Stream
from createos_engine.duplex import Duplex
from createos_engine.errors import Conflict, GuestFailed
from createos_engine.services.guests import Guests
from createos_engine.services.processes import NO_SHELL, NO_SHELL_HINT
from createos_engine.services.relay import relay
from createos_engine.words import Terminal, User

# A refusal of the guest comes back within milliseconds; a shell that says nothing is not held up any longer.
_PATIENCE_S = 0.25
# How long a shell may take to end when its client has said its last word.
_LAST_WORD_S = 2.0

_HEAD = struct.Struct(">BI")
_SIZE = struct.Struct(">HH")
_INPUT, _RESIZE = 0, 1


class Shells:
    """Starts the default user's shell on a terminal; the agent knows which one that is."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    async def open(self, user: User, ref: str) -> Session:
        """Start a shell; Conflict when the image has none. The terminal gets its size from the client's first frame."""
        guest = self._guests.running(user, ref)
        sandbox = guest.sandbox
        program = Program(
            argv=(),
            env={**sandbox.image.env, **sandbox.envs},
            cwd=sandbox.image.working_dir,
            user=sandbox.image.user,
            shell=True,
            pty=Terminal(),
        )
        with self._guests.use(sandbox.id):
            stream = await guest.agent.open("exec", **program.request(), stdin=True)
            try:
                await stream.stirred(_PATIENCE_S)
                if stream.over:
                    await _refused(stream)
            except BaseException:
                stream.cancel()
                raise
        return Session(self._guests, sandbox.id, stream)


class Session:
    """A shell and, once it is served, its client."""

    def __init__(self, guests: Guests, sandbox_id: str, stream: Stream) -> None:
        self._guests = guests
        self._sandbox_id = sandbox_id
        self._stream = stream

    async def serve(self, duplex: Duplex) -> None:
        """Carry bytes both ways until the shell ends or the client has gone away, which ends the shell."""
        with self._guests.use(self._sandbox_id):
            await relay(duplex, self._stream, upward=framed)


async def _refused(stream: Stream) -> None:
    """Raise why a shell was over before it began; one that has merely ended already is served all the same."""
    try:
        await stream.result()
    except AgentError as exc:
        if exc.code == "no_shell":
            raise Conflict(NO_SHELL, hint=NO_SHELL_HINT) from exc
        raise GuestFailed(f"the shell could not be started: {exc.message}", code=exc.code) from exc


async def framed(duplex: Duplex, stream: Stream) -> None:
    """Act on the client's frames until its end, which is typed as one; a shell that stays is hung up on.

    Nothing is kept but half a head: input goes on as it comes, however long its frame says it is. What is no frame is a
    ConnectionError, as if the client had gone away.
    """
    frames = FrameReader(duplex)
    while (head := await frames.exactly(_HEAD.size)) is not None:
        kind, size = _HEAD.unpack(head)
        if kind == _RESIZE and size == _SIZE.size:
            rows, cols = _SIZE.unpack(await frames.exactly(size) or bytes(size))
            stream.send_control({"resize": {"rows": rows, "cols": cols}})
        elif kind == _INPUT:
            while size:
                piece = await frames.some(size)
                await stream.send(piece)
                size -= len(piece)
        else:
            raise ConnectionError(f"a shell frame of type {kind} with {size} bytes is none")
    stream.send_eof()
    async with asyncio.timeout(_LAST_WORD_S):
        await stream.wait()


class FrameReader:
    """Pieces of a wanted size from a connection."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._held = b""

    async def exactly(self, size: int) -> bytes | None:
        """Return *size* bytes (few), or None at the end."""
        while len(self._held) < size:
            more = await self._duplex.read()
            if not more:
                return None
            self._held += more
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    async def some(self, most: int) -> bytes:
        """Return what is there, at least a byte; ConnectionError at the end."""
        data = self._held or await self._duplex.read()
        if not data:
            raise ConnectionError("the client ended within a frame")
        taken, self._held = data[:most], data[most:]
        return taken
