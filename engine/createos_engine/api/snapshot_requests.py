"""Wire models of fork requests (wire-api 5.4)."""

from __future__ import annotations

from pydantic import StrictBool, StrictInt, field_validator

from createos_engine.api.requests import Lenient, Text, check_env, check_keys
from createos_engine.words import NewFork


class ForkRequest(Lenient):
    """POST /v1/sandboxes/{id}/fork; what is left out is inherited."""

    start_paused: StrictBool = False
    ssh_pubkeys: list[Text] | None = None
    egress: list[Text] | None = None
    ingress_enabled: StrictBool | None = None
    envs: dict[Text, Text] | None = None
    bandwidth_quota_bytes: StrictInt | None = None

    @field_validator("envs")
    @classmethod
    def _envs_fit(cls, envs: dict[str, str] | None) -> dict[str, str] | None:
        return envs and check_env(envs)

    @field_validator("ssh_pubkeys")
    @classmethod
    def _keys_are_keys(cls, keys: list[str] | None) -> list[str] | None:
        return keys and check_keys(keys)

    @field_validator("bandwidth_quota_bytes")
    @classmethod
    def _quota_is_not_settable(cls, quota: int | None) -> int | None:
        if quota:
            raise ValueError("the bandwidth quota cannot be set; leave it out")
        return quota

    def meaning(self) -> NewFork:
        """Return what is wanted, as the services know it."""
        return NewFork(
            start_paused=self.start_paused,
            ssh_pubkeys=None if self.ssh_pubkeys is None else tuple(dict.fromkeys(self.ssh_pubkeys)),
            egress=None if self.egress is None else tuple(self.egress),
            ingress_enabled=self.ingress_enabled,
            envs=self.envs,
        )
