"""Keys of the fake sandboxes."""

from __future__ import annotations

from dataclasses import replace

from createos_engine.errors import Conflict, NotFound
from createos_engine.lifecycle import TERMINAL
from createos_engine.pubkeys import merged
from createos_engine.words import Sandbox, SshGateway, User

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICL6Q5P9tTl0ErOJCpj+Kn2lX7Ukn2BJlwKzzAyVFeSh createosd"


class FakeSsh:
    """Keys are kept in the rows; the gateway is where a test puts it."""

    def __init__(self, rows: dict[str, Sandbox]) -> None:
        self._rows = rows
        self.gateway = SshGateway("127.0.0.1", 2222, HOST_KEY, "SHA256:fake")

    async def add_keys(self, user: User, ref: str, more: tuple[str, ...]) -> int:
        """Add what is new."""
        row = next((row for row in self._rows.values() if row.user_id == user.id and ref in (row.id, row.name)), None)
        if row is None:
            raise NotFound("sandbox not found")
        if row.state in TERMINAL:
            raise Conflict(f"sandbox is {row.state}")
        self._rows[row.id] = replace(row, ssh_pubkeys=merged(row.ssh_pubkeys, more))
        return len(self._rows[row.id].ssh_pubkeys)
