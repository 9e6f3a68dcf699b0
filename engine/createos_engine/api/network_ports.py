"""What the routes ask of the services that are about links and traffic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from createos_engine.network_words import IngressFacts, PrivateNetwork
from createos_engine.traffic import Bandwidth, Denial, Explained
from createos_engine.words import Page, Sandbox, SshGateway, User


class NetworkPort(Protocol):
    """Private networks of one user; a network is named by id or name."""

    async def create(self, user: User, name: str) -> PrivateNetwork:
        """Return a new network; Invalid when the name is taken, Forbidden above the quota."""

    async def list(self, user: User, page: Page) -> tuple[Sequence[PrivateNetwork], int]:
        """Return the rows of a page, newest first, and how many there are in all."""

    async def get(self, user: User, ref: str) -> PrivateNetwork:
        """Return one network with its members."""

    async def delete(self, user: User, ref: str) -> PrivateNetwork:
        """Delete a network; Conflict while a sandbox is on it."""

    async def attach(self, user: User, sandbox_ref: str, network_ref: str) -> PrivateNetwork:
        """Put a running sandbox on a network; repeatable."""

    async def detach(self, user: User, sandbox_ref: str, network_ref: str) -> PrivateNetwork:
        """Take a sandbox off a network; NotFound when it is not on it."""


class IngressPort(Protocol):
    """Public URLs."""

    def url_template(self, sandbox: Sandbox) -> str:
        """Return the URL with the literal `<port>`, empty when the sandbox has none."""

    def facts(self) -> IngressFacts:
        """Return what is open, and the certificate to trust."""


class EgressPort(Protocol):
    """What sandboxes may reach outside."""

    async def get(self, user: User, ref: str) -> Sandbox:
        """Return the sandbox, whose `egress` are its rules."""

    async def replace(self, user: User, ref: str, rules: Sequence[str]) -> Sandbox:
        """Replace the rules and return the sandbox; Invalid (field egress) for a malformed one."""

    async def denials(self, user: User, ref: str) -> Sequence[Denial]:
        """Return what was refused lately, the latest last."""

    async def explain(self, user: User, ref: str, host: str, port: int) -> Explained:
        """Return what would become of a connection; port 0 is any."""


class BandwidthPort(Protocol):
    """What sandboxes have sent and got."""

    @property
    def quota_bytes(self) -> int:
        """What a new sandbox may send, -1 for as much as it likes."""

    async def get(self, user: User, ref: str) -> Bandwidth:
        """Return the totals up to now."""

    async def recharge(self, user: User, ref: str, add_bytes: int) -> Bandwidth:
        """Raise the quota; Invalid (field add_bytes) unless it is raised."""


class SshPort(Protocol):
    """Keys of sandboxes, and the gateway where they are asked for."""

    @property
    def gateway(self) -> SshGateway:
        """Where the gateway is, or why it is not."""

    async def add_keys(self, user: User, ref: str, more: tuple[str, ...]) -> int:
        """Add keys in canonical form and return how many the sandbox has now; repeatable."""
