"""Rows for tests that do not care about most columns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from createos_engine.words import ImageConfig, Sandbox, State

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)

_SANDBOX = Sandbox(
    id="sb-01k5zq7m3v8w2x4y6z9abcdefg",
    user_id="usr-1",
    name="demo-box",
    state=State.CREATING,
    shape="s-1vcpu-256mb",
    rootfs="busybox:1",
    vcpu=1,
    mem_mib=256,
    disk_mib=1024,
    base_digest="0" * 64,
    image=ImageConfig(env={"PATH": "/bin"}, user="root"),
    slot=1,
    ip="10.77.0.2",
    created_at=NOON,
    created_by="tester",
)


def sandbox(**columns: object) -> Sandbox:
    """Return a sandbox that differs from the usual one in the given columns."""
    return replace(_SANDBOX, **columns)  # type: ignore[arg-type]
