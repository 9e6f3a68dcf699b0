"""The connections to guest agents: exactly one per running sandbox, since a channel has room for one client."""

from __future__ import annotations

from collections.abc import Callable

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.errors import GuestFailed
from createos_engine.paths import Paths


class Agents:
    """Connected agents by sandbox id."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._listeners: list[Callable[[str, str], None]] = []
        self._greeters: list[Callable[[str, AgentClient], None]] = []
        self._clients: dict[str, AgentClient] = {}

    def on_lost(self, listener: Callable[[str, str], None]) -> None:
        """Call *listener* with sandbox id and reason when a connection that was up breaks by itself."""
        self._listeners.append(listener)

    def on_connected(self, listener: Callable[[str, AgentClient], None]) -> None:
        """Call *listener* with sandbox id and client whenever an agent has answered."""
        self._greeters.append(listener)

    async def connect(self, sandbox_id: str, *, deadline_s: float) -> AgentClient:
        """Connect and shake hands; raise GuestFailed when the agent does not answer or its root was not mounted."""
        await self.disconnect(sandbox_id)
        reasons: list[str] = []

        def lost(reason: str) -> None:
            reasons.append(reason)
            self._lost(sandbox_id, reason)

        channel = self._paths.sandbox(sandbox_id).channel
        client = await AgentClient.connect(channel, deadline_s=deadline_s, on_lost=lost)
        if reasons:
            # Nobody was told, since nobody had it yet.
            await client.close()
            raise GuestFailed(f"the guest agent answered and was lost at once: {reasons[0]}")
        if client.ready.boot_state != "ready":
            await client.close()
            raise GuestFailed(f"the guest could not mount its root file system: {client.ready.boot_reason}")
        self._clients[sandbox_id] = client
        for greeter in self._greeters:
            greeter(sandbox_id, client)
        return client

    def get(self, sandbox_id: str) -> AgentClient:
        """Return the connected agent of a running sandbox."""
        client = self._clients.get(sandbox_id)
        if client is None:
            raise GuestFailed("the guest agent is not connected", hint="try again in a few seconds")
        return client

    def connected(self, sandbox_id: str) -> bool:
        """Tell whether the agent is connected."""
        return sandbox_id in self._clients

    async def disconnect(self, sandbox_id: str) -> None:
        """Close the connection, if there is one, without telling anybody."""
        client = self._clients.pop(sandbox_id, None)
        if client:
            await client.close()

    async def close(self) -> None:
        """Close all connections; the guests wait for the next daemon."""
        for sandbox_id in list(self._clients):
            await self.disconnect(sandbox_id)

    def _lost(self, sandbox_id: str, reason: str) -> None:
        if self._clients.pop(sandbox_id, None):
            for listener in self._listeners:
                listener(sandbox_id, reason)
