"""A guest that mounts S3 disks as it is told, as far as the engine can see."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from createos_engine.drivers.channel.mounts import CAPABILITY, GuestMount, Held, How, Wanted
from createos_engine.errors import GuestFailed


@dataclass
class FakeGuestMounts:
    """What is mounted, by id. `refuse` and `deaf` are why it does not mount or unmount; a list takes `slow_s`."""

    there: dict[str, GuestMount] = field(default_factory=dict)
    wanted: list[Wanted] = field(default_factory=list)
    unmounted: list[tuple[str, bool]] = field(default_factory=list)
    held: int = 0
    refuse: str = ""
    deaf: str = ""
    slow_s: float = 0.0

    async def mount(self, wanted: Wanted) -> None:
        """Mount at once, but no two at a path."""
        self.wanted.append(wanted)
        if any(other.path == wanted.path and other.id != wanted.id for other in self.there.values()):
            raise GuestFailed(f"another disk is mounted at {wanted.path}", code="busy")
        if self.refuse:
            raise GuestFailed(f"the guest could not mount {wanted.path}: {self.refuse}", code="failed")
        self.there[wanted.id] = GuestMount(wanted.id, wanted.path, mounted=True)

    async def accept(self, mount_id: str) -> Any:
        """Wait: nobody connects."""
        await asyncio.Event().wait()

    async def list(self) -> tuple[GuestMount, ...]:
        """Return what is there."""
        await asyncio.sleep(self.slow_s)
        return tuple(self.there.values())

    async def unmount(self, mount_id: str, *, force: bool, deadline_s: float) -> How:
        """Unmount at once."""
        self.unmounted.append((mount_id, force))
        if self.deaf:
            raise GuestFailed(self.deaf)
        return How.CLEAN if self.there.pop(mount_id, None) else How.GONE

    async def hold(self, *, deadline_s: float) -> Held:
        """Unmount everything."""
        self.held += 1
        gone, self.there = tuple(self.there), {}
        return Held(gone, (), {})

    def lose(self, why: str) -> None:
        """End every s3fs."""
        self.there = {key: replace(mount, mounted=False, error=why) for key, mount in self.there.items()}


def agent(*capabilities: str) -> Any:
    """Return as much of an agent's connection as Mounts looks at."""
    return SimpleNamespace(connected=True, ready=SimpleNamespace(capabilities=capabilities or (CAPABILITY,)))


class FakeEndpoint:
    """A bucket that answers, or says `cause`."""

    def __init__(self) -> None:
        self.cause = ""
        self.asked = 0
        self.folders: list[str] = []

    async def probe(self, bucket: object, keys: object) -> str:
        """Answer at once."""
        self.asked += 1
        return self.cause

    async def put_marker(self, bucket: object, keys: object, folder: str) -> str:
        """Make a folder."""
        self.folders.append(folder)
        return self.cause
