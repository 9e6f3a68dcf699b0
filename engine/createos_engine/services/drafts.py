"""From what was asked for to the row of a sandbox: every rule that needs the catalog or the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from createos_images.builder import Base

from createos_engine.errors import Invalid
from createos_engine.services.egress_rules import checked
from createos_engine.services.images import Images
from createos_engine.services.naming import random_name, sandbox_id
from createos_engine.services.shapes import find_shape
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import ImageConfig, NewFork, NewSandbox, Sandbox, State, User

_NAME_TRIES = 50
_MIB = 2**20


class Drafts:
    """Turns wishes into rows, or says what cannot be had."""

    def __init__(self, store: SandboxStore, images: Images, *, region: str, host_id: str) -> None:
        self._store = store
        self._images = images
        self._region = region
        self._host_id = host_id

    def draft(self, user: User, wanted: NewSandbox) -> tuple[Sandbox, Base]:
        """Return a row without slot and address, and the image it starts from; raise Invalid naming the field."""
        _refuse_what_is_not_offered(wanted)
        self._require_here(wanted)
        shape = find_shape(wanted.shape)
        base = self._images.base(user, wanted.rootfs)
        row = Sandbox(
            id=sandbox_id(),
            user_id=user.id,
            name=self._name(user, wanted.name),
            state=State.CREATING,
            shape=shape.id,
            rootfs=base.name,
            vcpu=shape.vcpu,
            mem_mib=shape.mem_mib,
            disk_mib=_disk_mib(wanted.disk_mib, shape.default_disk_mib, base),
            base_digest=base.digest,
            image=_config(base),
            slot=0,
            ip="",
            created_at=datetime.now(UTC),
            created_by=user.name,
            envs=dict(wanted.envs),
            ingress_enabled=wanted.ingress_enabled,
            auto_pause_after_seconds=wanted.auto_pause_after_seconds,
            ssh_pubkeys=tuple(dict.fromkeys(wanted.ssh_pubkeys)),
            egress=checked(wanted.egress),
        )
        return row, base

    def fork(self, user: User, source: Sandbox, wanted: NewFork) -> Sandbox:
        """Return a row without slot and address for a fork of *source*; what is not asked for is inherited."""
        given = {
            "ssh_pubkeys": wanted.ssh_pubkeys,
            "egress": None if wanted.egress is None else checked(wanted.egress),
            "ingress_enabled": wanted.ingress_enabled,
            "envs": wanted.envs,
        }
        now = datetime.now(UTC)
        own = {"id": sandbox_id(), "name": self._name(user, ""), "state": State.FORKING, "slot": 0, "ip": ""}
        blank = {"running_at": None, "spawn_ms": None, "reason": "", "paused_at": None, "last_resumed_at": None}
        fresh = {"auto_paused": False, "has_memory": False, "receipt": {}, "forked_from": source.id}
        made = {"user_id": user.id, "created_at": now, "created_by": user.name}
        asked = {key: value for key, value in given.items() if value is not None}
        return replace(source, **(own | blank | fresh | made | asked))  # type: ignore[arg-type]

    def _name(self, user: User, wanted: str) -> str:
        if wanted:
            return wanted
        for _ in range(_NAME_TRIES):
            name = random_name()
            if not self._store.name_taken(user.id, name):
                return name
        raise Invalid("no free name was found", hint="name the sandbox yourself", field="name")

    def _require_here(self, wanted: NewSandbox) -> None:
        if wanted.region not in ("", self._region):
            raise Invalid(f"unknown region: {wanted.region}", hint=f"this server is {self._region}", field="region")
        if wanted.host_id not in ("", self._host_id):
            raise Invalid(f"unknown host: {wanted.host_id}", hint=f"this host is {self._host_id}", field="host_id")


def _config(base: Base) -> ImageConfig:
    said = base.config
    return ImageConfig(dict(said.env), said.working_dir, said.user, tuple(said.entrypoint), tuple(said.cmd))


def _disk_mib(wanted: int, default: int, base: Base) -> int:
    """Return the size of the root disk in MiB: never smaller than the image."""
    smallest = -(-base.size_bytes // _MIB)
    size = wanted or max(default, smallest)
    if size < smallest:
        raise Invalid(
            f"a disk of {size} MiB is smaller than the image {base.name}",
            hint=f"ask for at least {smallest} MiB, or leave disk_mib out",
            field="disk_mib",
        )
    return size


def _refuse_what_is_not_offered(wanted: NewSandbox) -> None:
    """Refuse rather than ignore: a sandbox that lacks what was asked for would be a broken promise."""
    if wanted.node_selector:
        raise Invalid(
            "this server does not offer node_selector: it is one host", hint="leave it out", field="node_selector"
        )
