"""A session channel of asyncssh with bounds on what a client may leave in it."""

from __future__ import annotations

from typing import Any

import asyncssh
from asyncssh.packet import SSHPacket

# As for the variables of an exec (wire-api 5.1).
_MOST_VARIABLES = 64
_MOST_BYTES = 65_536


class GatewayChannel(asyncssh.SSHServerChannel[bytes]):
    """Keeps a limited number of variables, and knows neither X11 nor agents."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._kept: dict[bytes, bytes] = {}

    @property
    def variables(self) -> dict[str, str]:
        """What the client wants in the environment, as far as it is text."""
        readable: dict[str, str] = {}
        for key, value in self._kept.items():
            try:
                readable[key.decode()] = value.decode()
            except UnicodeDecodeError:
                continue
        return {key: value for key, value in readable.items() if "\0" not in value}

    def _process_env_request(self, packet: SSHPacket) -> bool:
        """Keep a variable if there is room."""
        key, value = packet.get_string(), packet.get_string()
        packet.check_end()
        size = sum(len(k) + len(v) for k, v in self._kept.items()) + len(key) + len(value)
        if len(self._kept) >= _MOST_VARIABLES or size > _MOST_BYTES:
            return False
        self._kept[key] = value
        return True

    def _process_x11_req_request(self, _packet: SSHPacket) -> bool | None:
        """Refuse at once: the usual answer comes later, and requests behind it would pile up."""
        return False

    def _process_auth_agent_req_at_openssh_dot_com_request(self, _packet: SSHPacket) -> bool:  # type: ignore[override]
        """Refuse at once, likewise."""
        return False
