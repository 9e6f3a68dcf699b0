"""What the gateway asks of the services."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from createos_engine.services.guests import Guest
from createos_engine.words import SshGateway


class AccessPort(Protocol):
    """Who may enter which sandbox."""

    def admitted(self, login: str, key: str) -> tuple[str, ...]:
        """Return the ids of the live sandboxes that have this id or name and this key (`TYPE BASE64`)."""

    def announce(self, gateway: SshGateway) -> None:
        """Hear from the gateway where it is, or why it is not."""

    def entered(self, sandbox_ids: Sequence[str]) -> AbstractContextManager[Guest]:
        """Give the running guest for the time of a block; raise EngineError when there is none."""


# Where a visitor may go: the guest that his login let him into.
Entrance = Callable[[], AbstractContextManager[Guest]]
