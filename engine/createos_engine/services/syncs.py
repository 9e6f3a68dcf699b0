"""File synchronisation: a connection to the guest agent's `sync` stream. The command line decides what is done."""

from __future__ import annotations

from createos_engine.drivers.channel.stream import Stream
from createos_engine.duplex import Duplex
from createos_engine.errors import Conflict
from createos_engine.services.guests import Guests
from createos_engine.services.relay import relay
from createos_engine.words import User

_CAPABILITY = "sync"


class Syncing:
    """An open stream that waits for its client."""

    def __init__(self, guests: Guests, sandbox_id: str, stream: Stream) -> None:
        self._guests = guests
        self._sandbox_id = sandbox_id
        self._stream = stream

    async def carry(self, duplex: Duplex) -> None:
        """Pass bytes both ways until one side has gone away; the sandbox is in use meanwhile."""
        with self._guests.use(self._sandbox_id):
            await relay(duplex, self._stream)


class Syncs:
    """Opens `sync` streams."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    async def open(self, user: User, ref: str) -> Syncing:
        """Check everything that can be checked, and open the stream. Raises NotFound, Conflict or GuestFailed."""
        guest = self._guests.running(user, ref)
        if _CAPABILITY not in guest.agent.ready.capabilities:
            raise Conflict("this sandbox was started with an agent that cannot synchronise", hint="create it anew")
        return Syncing(self._guests, guest.sandbox.id, await guest.agent.open(_CAPABILITY))
