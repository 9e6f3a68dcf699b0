"""What can go wrong between the host and a guest agent.

GuestFailed
├── ProtocolViolation  the guest sent what the protocol does not allow; it ends the channel
├── ChannelLost        the channel is over, and with it every stream
└── AgentError         the agent answered that it could not do what it was asked
"""

from __future__ import annotations

from createos_engine.errors import GuestFailed


class ProtocolViolation(GuestFailed):
    """The guest sent something the protocol does not allow. It ends the channel of that one sandbox."""


class ChannelLost(GuestFailed):
    """The channel is over, and with it every stream; `reason` says why."""


class AgentError(GuestFailed):
    """The agent's ERROR: `code` is one of PROTOCOL.md or whatever the guest invented, `message` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
