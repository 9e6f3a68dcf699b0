"""Wire models of requests: their form is checked here, their meaning by the services (wire-api 5.1, 7.1)."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
)

from createos_engine.mount_paths import checked_mount_path, checked_sub_path
from createos_engine.pubkeys import KEYS_OF_A_SANDBOX, canonical, merged
from createos_engine.words import Command, NewSandbox, SandboxChanges, WantedDisk

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ID = re.compile(r"sb[-_][0-9a-z]{26}", re.IGNORECASE)
_ENV_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

ENV_ENTRIES, ENV_VALUE_BYTES, ENV_TOTAL_BYTES = 64, 4096, 65_536
LARGEST_DISK_MIB = 2**31 - 1


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("a NUL character is not allowed; leave it out")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise ValueError("a lone surrogate is not text; send valid Unicode") from exc
    return value


Text = Annotated[StrictStr, AfterValidator(_text)]
AutoPause = Annotated[StrictInt, Field(ge=60, le=86_400)]


def check_env(envs: dict[str, str]) -> dict[str, str]:
    """Return *envs*, or raise ValueError for the first rule of 5.1 that is broken."""
    if len(envs) > ENV_ENTRIES:
        raise ValueError(f"{len(envs)} variables are too many; at most {ENV_ENTRIES} are allowed")
    for key, value in envs.items():
        if not _ENV_KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no variable name; use letters, digits and _, not beginning with a digit")
        if len(value.encode()) > ENV_VALUE_BYTES:
            raise ValueError(f"the value of {key} is longer than {ENV_VALUE_BYTES} bytes; shorten it or push a file")
    if sum(len(key) + len(value.encode()) for key, value in envs.items()) > ENV_TOTAL_BYTES:
        raise ValueError(f"all variables together have more than {ENV_TOTAL_BYTES} bytes; push a file instead")
    return envs


def check_keys(keys: list[str]) -> list[str]:
    """Return public keys in canonical form, each once, or raise ValueError."""
    once = merged((), tuple(canonical(key) for key in keys[: KEYS_OF_A_SANDBOX + 1]))
    if len(keys) > KEYS_OF_A_SANDBOX:
        raise ValueError(f"{len(keys)} SSH keys are too many; a sandbox has at most {KEYS_OF_A_SANDBOX}")
    return list(once)


def _no_quota(quota: int) -> int:
    if quota:
        raise ValueError("the bandwidth quota cannot be set; leave it out")
    return quota


Environment = Annotated[dict[Text, Text], AfterValidator(check_env)]
PublicKeys = Annotated[list[Text], AfterValidator(check_keys)]
NoQuota = Annotated[StrictInt, AfterValidator(_no_quota)]


class Lenient(BaseModel):
    """Unknown fields are ignored: older and newer clients send more (wire-api 5.1)."""

    model_config = ConfigDict(extra="ignore")


class NetworkRef(Lenient):
    """A network to join, by name or id."""

    id: Text


class DiskRef(Lenient):
    """An S3 disk to mount, by name or id."""

    disk_id: Text
    mount_path: Annotated[Text, AfterValidator(checked_mount_path)]
    sub_path: Annotated[Text, AfterValidator(checked_sub_path)] | None = None

    def meaning(self) -> WantedDisk:
        """Return what is wanted, as the services know it."""
        return WantedDisk(self.disk_id, self.mount_path, self.sub_path or "")


class CreateRequest(Lenient):
    """POST /v1/sandboxes."""

    shape: Text
    rootfs: Text | None = None
    name: Text | None = None
    disk_mib: StrictInt | None = Field(None, ge=0, le=LARGEST_DISK_MIB)
    ssh_pubkeys: PublicKeys | None = None
    envs: Environment | None = None
    ingress_enabled: StrictBool | None = None
    networks: list[NetworkRef] | None = None
    disks: list[DiskRef] | None = None
    egress: list[Text] | None = None
    auto_pause_after_seconds: AutoPause | None = None
    region: Text | None = None
    host_id: Text | None = None
    node_selector: dict[Text, Text] | None = None
    bandwidth_quota_bytes: NoQuota | None = None
    cold: StrictBool | None = None

    @field_validator("shape")
    @classmethod
    def _shape_is_named(cls, shape: str) -> str:
        if not shape:
            raise ValueError("shape is required")
        return shape

    @field_validator("name")
    @classmethod
    def _name_is_a_label(cls, name: str | None) -> str | None:
        if name and _ID.fullmatch(name):
            raise ValueError("a name must not look like a sandbox id; choose another")
        if name and not _NAME.fullmatch(name):
            raise ValueError(
                "a name has 1 to 63 characters of a-z, 0-9 and -, and begins and ends with a letter or digit"
            )
        return name

    @field_validator("disks")
    @classmethod
    def _one_disk_at_a_path(cls, disks: list[DiskRef] | None) -> list[DiskRef] | None:
        for path, count in Counter(disk.mount_path for disk in disks or ()).items():
            if count > 1:
                raise ValueError(f"{count} disks are to be mounted at {path}; give each its own path")
        return disks

    def meaning(self) -> NewSandbox:
        """Return what is wanted, as the services know it."""
        given: dict[str, Any] = {
            "shape": self.shape,
            "name": self.name,
            "rootfs": self.rootfs,
            "disk_mib": self.disk_mib,
            "ssh_pubkeys": tuple(self.ssh_pubkeys or ()),
            "envs": self.envs,
            "ingress_enabled": self.ingress_enabled,
            "networks": tuple(network.id for network in self.networks or ()),
            "disks": tuple(disk.meaning() for disk in self.disks or ()),
            "egress": tuple(self.egress or ()),
            "auto_pause_after_seconds": self.auto_pause_after_seconds,
            "region": self.region,
            "host_id": self.host_id,
            "node_selector": self.node_selector,
            "cold": self.cold,
        }
        return NewSandbox(**{key: value for key, value in given.items() if value is not None})


class PatchRequest(Lenient):
    """PATCH /v1/sandboxes/{id}; what is left out stays as it is."""

    ingress_enabled: StrictBool | None = None
    auto_pause_after_seconds: AutoPause | None = None
    disable_auto_pause: StrictBool | None = None

    @field_validator("disable_auto_pause")
    @classmethod
    def _one_word_on_auto_pause(cls, off: bool | None, info: ValidationInfo) -> bool | None:
        if off and info.data.get("auto_pause_after_seconds") is not None:
            raise ValueError("disable_auto_pause and auto_pause_after_seconds contradict each other; send one of them")
        return off

    def meaning(self) -> SandboxChanges:
        """Return what changes, as the services know it."""
        return SandboxChanges(self.ingress_enabled, self.auto_pause_after_seconds, bool(self.disable_auto_pause))


class ResizeRequest(Lenient):
    """POST /v1/sandboxes/{id}/resize."""

    disk_mib: StrictInt = Field(ge=1, le=LARGEST_DISK_MIB)


class ExecRequest(Lenient):
    """POST /v1/sandboxes/{id}/exec."""

    cmd: Text
    args: list[Text] | None = None
    stdin: StrictStr | None = None
    env: Environment | None = None
    stream: StrictBool | None = None

    @field_validator("cmd")
    @classmethod
    def _cmd_is_named(cls, cmd: str) -> str:
        if not cmd:
            raise ValueError("cmd is required")
        return cmd

    def meaning(self) -> Command:
        """Return the command, as the services know it."""
        stdin = (self.stdin or "").encode(errors="replace")
        return Command(cmd=self.cmd, args=tuple(self.args or ()), stdin=stdin, env=dict(self.env or {}))


class EgressRequest(Lenient):
    """PUT /v1/sandboxes/{id}/egress."""

    egress: list[Text] | None = Field(None, max_length=10_000)


class RechargeRequest(Lenient):
    """POST /v1/sandboxes/{id}/bandwidth/recharge."""

    add_bytes: StrictInt


class SshKeysRequest(Lenient):
    """POST /v1/sandboxes/{id}/ssh-pubkeys."""

    keys: list[Text]

    @field_validator("keys")
    @classmethod
    def _keys_are_keys(cls, keys: list[str]) -> list[str]:
        if not keys:
            raise ValueError("keys is empty; send at least one public key")
        return check_keys(keys)
