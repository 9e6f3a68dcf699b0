"""Wire models of fork requests (wire-api 5.4)."""

from __future__ import annotations

from pydantic import StrictBool

from createos_engine.api.requests import Environment, Lenient, NoQuota, PublicKeys, Text
from createos_engine.words import NewFork


class ForkRequest(Lenient):
    """POST /v1/sandboxes/{id}/fork; what is left out is inherited."""

    start_paused: StrictBool = False
    ssh_pubkeys: PublicKeys | None = None
    egress: list[Text] | None = None
    ingress_enabled: StrictBool | None = None
    envs: Environment | None = None
    bandwidth_quota_bytes: NoQuota | None = None

    def meaning(self) -> NewFork:
        """Return what is wanted, as the services know it."""
        return NewFork(
            start_paused=self.start_paused,
            ssh_pubkeys=None if self.ssh_pubkeys is None else tuple(dict.fromkeys(self.ssh_pubkeys)),
            egress=None if self.egress is None else tuple(self.egress),
            ingress_enabled=self.ingress_enabled,
            envs=self.envs,
        )
