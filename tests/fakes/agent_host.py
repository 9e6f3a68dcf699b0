"""The real guest agent as a process of this machine, and connections to its `sync` streams."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from createos_cli.wire import Upgraded
from createos_engine.api.duplex import RawConnection
from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.services.relay import relay

TOP = Path(__file__).parents[2]
GO = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
T = TypeVar("T")


def build_agent(to: Path) -> Path:
    """Build the agent into a directory."""
    binary = to / "agent"
    subprocess.run([str(GO), "build", "-o", str(binary), "."], cwd=TOP / "images/agent", check=True, timeout=600)
    return binary


class AgentHost:
    """An agent that can be restarted, and the daemon's half of its connections in a thread."""

    def __init__(self, binary: Path, home: Path) -> None:
        self._binary = binary
        self._socket = home / "agent.sock"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._process: subprocess.Popen[bytes] | None = None
        self._client: AgentClient | None = None
        self._relays: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the agent and connect to it."""
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen([self._binary, "--serve-socket", self._socket])
        self._client = self._run(AgentClient.connect(self._socket, deadline_s=60))

    def stop(self) -> None:
        """End connections and agent, as a daemon that dies together with the machine."""
        self._run(self._end_relays())
        if self._client:
            self._run(self._client.close())
            self._client = None
        if self._process:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Leave nothing behind."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def connect(self) -> Upgraded:
        """Return a connection to a new `sync` stream."""
        ours, theirs = socket.socketpair()
        self._run(self._begin(theirs))
        return Upgraded(ours)

    def drop_connections(self) -> None:
        """Cut every connection, as a daemon that is restarted."""
        self._run(self._end_relays())

    async def _begin(self, theirs: socket.socket) -> None:
        assert self._client is not None
        stream = await self._client.open("sync")
        transport, _ = await self._loop.create_connection(asyncio.Protocol, sock=theirs)
        raw = RawConnection(transport, set())
        transport.set_protocol(raw)
        task = self._loop.create_task(relay(raw, stream))
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)

    async def _end_relays(self) -> None:
        for task in list(self._relays):
            task.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(30)
