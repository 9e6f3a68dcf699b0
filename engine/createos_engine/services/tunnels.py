"""TCP connections to ports inside a sandbox (wire-api 9.3)."""

from __future__ import annotations

from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.head import open_with_head
from createos_engine.drivers.channel.stream import Stream
from createos_engine.duplex import Duplex
from createos_engine.errors import Invalid, NotListening
from createos_engine.services.guests import Guest, Guests
from createos_engine.services.relay import relay
from createos_engine.words import User

LAST_PORT = 65_535
# The agent itself gives up after ten seconds.
_DIAL_S = 15.0


class Tunnel:
    """A connection that stands inside the guest and waits for its client."""

    def __init__(self, guests: Guests, guest: Guest, stream: Stream) -> None:
        self._guests = guests
        self._guest = guest
        self._stream = stream

    async def carry(self, duplex: Duplex) -> None:
        """Connect the client, to the end of both; never fails."""
        with self._guests.use(self._guest.sandbox.id):
            await relay(duplex, self._stream)


class Tunnels:
    """Dials inside guests through the channel: no network rule is involved, servers on loopback can be reached."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    async def dial(self, user: User, ref: str, port: int) -> Tunnel:
        """Return a tunnel to *port* of the guest; NotListening when nobody there takes the connection."""
        if not 1 <= port <= LAST_PORT:
            raise Invalid(f"port must be 1 to {LAST_PORT}", field="port")
        guest = self._guests.running(user, ref)
        try:
            stream, _ = await open_with_head(guest.agent, "dial", deadline_s=_DIAL_S, port=port)
        except AgentError as exc:
            raise NotListening(
                f"nothing in the sandbox takes connections on port {port} ({exc.code})",
                hint="start the server there first",
            ) from exc
        stream.widen()
        return Tunnel(self._guests, guest, stream)
