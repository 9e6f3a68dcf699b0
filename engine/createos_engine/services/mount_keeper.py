"""Keeps one disk mounted in one guest: mounts it, watches it, and mounts it again when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from createos_engine.disk_words import Attachment, Bucket, Keys, MountStatus
from createos_engine.drivers.channel.errors import ChannelLost
from createos_engine.drivers.channel.mounts import GuestMounts, Wanted
from createos_engine.errors import EngineError, GuestFailed
from createos_engine.s3.trust import authorities
from createos_engine.store.attachments import AttachmentStore

log = structlog.get_logger(__name__)

WATCH_EVERY_S = 5.0
"""Between two looks at a mount and its endpoint; what the relay finds out comes at once."""
WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Between attempts to mount; the last one for ever."""


class Endpoint(Protocol):
    """Asks buckets; empty means that all is well, else it is a sentence."""

    async def probe(self, bucket: Bucket, keys: Keys) -> str:
        """Return why a bucket cannot be used, within some seconds."""

    async def put_marker(self, bucket: Bucket, keys: Keys, folder: str) -> str:
        """Make a folder that is not there."""


@dataclass(frozen=True)
class Tools:
    """What all keepers of a guest use. *alive* tells whether its agent is connected, *prepare* gives it the tools disk.

    *keys* returns those of a disk as they are now.
    With *in_guest* s3fs itself gets the endpoint and the keys.
    """

    guest: GuestMounts
    alive: Callable[[], bool]
    store: AttachmentStore
    endpoint: Endpoint
    prepare: Callable[[], Awaitable[None]]
    keys: Callable[[str], Keys]
    in_guest: bool


class MountKeeper:
    """One attachment in one guest, for as long as its agent answers."""

    def __init__(self, row: Attachment, tools: Tools) -> None:
        self._row = row
        self._tools = tools
        self._stirred = asyncio.Event()

    def stir(self, why: str) -> None:
        """Have a look now: the relay has found something out."""
        log.debug("a disk is looked at", attachment=self._row.id, reason=why or "its endpoint answers again")
        self._stirred.set()

    async def run(self) -> None:
        """Mount and watch until the guest is gone."""
        with suppress(ChannelLost):
            await self._run()

    async def _run(self) -> None:
        attempt = 0
        while self._tools.alive():
            if why := await self._mount():
                await self._say(MountStatus.ERROR, why)
                await asyncio.sleep(WAITS_S[min(attempt, len(WAITS_S) - 1)])
                attempt += 1
                continue
            attempt = 0
            await self._say(MountStatus.MOUNTED)
            await self._say(MountStatus.ERROR, await self._watch())

    async def _mount(self) -> str:
        """Return why it cannot be mounted, empty when it is: the endpoint knows better than s3fs why."""
        bucket, tools = self._row.disk.bucket, self._tools
        try:
            keys = tools.keys(self._row.disk.id)
            if why := await tools.endpoint.probe(bucket, keys):
                return why
            if self._row.sub_path and (why := await tools.endpoint.put_marker(bucket, keys, self._row.sub_path)):
                return why
            await tools.prepare()
            await tools.guest.mount(await self._wanted(keys))
        except ChannelLost:
            raise
        except EngineError as exc:
            return self._explained(exc)
        return ""

    async def _wanted(self, keys: Keys) -> Wanted:
        bucket = self._row.disk.bucket
        wanted = Wanted(self._row.id, self._row.mount_path, bucket.bucket, self._row.sub_path)
        if not self._tools.in_guest:
            return wanted
        trusted = await asyncio.to_thread(authorities) if bucket.endpoint.startswith("https:") else ""
        return replace(
            wanted,
            url=bucket.endpoint,
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            region=bucket.region,
            path_style=bucket.path_style,
            authorities=trusted,
        )

    def _explained(self, exc: EngineError) -> str:
        if not self._tools.in_guest or exc.context.get("code") not in ("failed", "timeout"):
            return exc.sentence
        hint = "look at what its egress rules refuse: createos sandbox firewall show"
        return f"{exc.reason}; the bucket answers this host, but perhaps not the sandbox: {hint}"

    async def _watch(self) -> str:
        """Watch a mount until the guest has it no more, and return why."""
        while True:
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_EVERY_S):
                    await self._stirred.wait()
            if why := await self._ended():
                return why
            why = await self._tools.endpoint.probe(self._row.disk.bucket, self._tools.keys(self._row.disk.id))
            await self._say(MountStatus.ERROR if why else MountStatus.MOUNTED, why)

    async def _ended(self) -> str:
        """Return why the guest has the mount no more, empty when it has; one that does not answer may be busy."""
        try:
            mounts = await self._tools.guest.list()
        except ChannelLost:
            raise
        except GuestFailed:
            return ""
        mine = next((mount for mount in mounts if mount.id == self._row.id), None)
        if mine and mine.mounted:
            return ""
        return f"it is no longer mounted in the sandbox{f': {mine.error}' if mine and mine.error else ''}"

    async def _say(self, status: MountStatus, error: str = "") -> None:
        """Write down how it is doing, when that is new."""
        if (status, error) != (self._row.status, self._row.error):
            self._row = replace(self._row, status=status, error=error)
            await self._tools.store.set_status(self._row.id, status, error)
            log.info("disk", attachment=self._row.id, sandbox=self._row.sandbox_id, status=status, reason=error)
