"""Registered S3 buckets: asked before they are taken, and their keys kept sealed (wire-api 14.1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Protocol

import structlog

from createos_engine.disk_words import Bucket, Keys, NewDisk, S3Disk
from createos_engine.errors import Invalid
from createos_engine.services.naming import disk_id
from createos_engine.services.vault import Vault
from createos_engine.store.disks import DiskStore
from createos_engine.words import Page, User

log = structlog.get_logger(__name__)


class Prober(Protocol):
    """Asks a bucket."""

    async def probe(self, bucket: Bucket, keys: Keys) -> str:
        """Return why the bucket cannot be used with these keys, as a sentence; empty when it can."""


class S3Disks:
    """The disks of users. The bucket itself is never touched."""

    def __init__(self, store: DiskStore, vault: Vault, prober: Prober) -> None:
        self._store = store
        self._vault = vault
        self._prober = prober

    async def create(self, user: User, wanted: NewDisk) -> S3Disk:
        """Register a bucket that answers; Invalid names the field, and for the bucket the cause."""
        self._store.require_free(user.id, wanted.name)
        await self._require_usable(wanted.bucket, wanted.keys, field="config")
        disk = S3Disk(disk_id(), user.id, wanted.name, wanted.bucket, datetime.now(UTC))
        await self._store.insert(disk, self._sealed(disk, wanted.keys))
        log.info("disk registered", disk=disk.id)
        return disk

    async def list(self, user: User, page: Page) -> tuple[Sequence[S3Disk], int]:
        """Return the rows of a page, newest first, and how many there are in all."""
        return self._store.page(user.id, page)

    async def get(self, user: User, ref: str) -> S3Disk:
        """Return one disk by id or name."""
        return self._store.find(user.id, ref)

    async def rotate(self, user: User, ref: str, keys: Keys) -> S3Disk:
        """Give a disk other keys, with which its bucket must answer; Invalid (field credentials) when it does not."""
        disk = self._store.find(user.id, ref)
        await self._require_usable(disk.bucket, keys, field="credentials")
        await self._store.reseal(disk.id, self._sealed(disk, keys))
        log.info("disk has other keys", disk=disk.id)
        return disk

    async def delete(self, user: User, ref: str) -> S3Disk:
        """Forget a disk and its keys; Conflict while a sandbox that has not ended has it."""
        disk = self._store.find(user.id, ref)
        await self._store.delete(disk)
        log.info("disk forgotten", disk=disk.id)
        return disk

    def keys(self, disk_id: str) -> Keys:
        """Return the keys of a disk as they are now; NotFound when it is gone, HostFailed when they cannot be read."""
        return Keys(**json.loads(self._vault.open(self._store.sealed(disk_id), disk_id)))

    def _sealed(self, disk: S3Disk, keys: Keys) -> bytes:
        return self._vault.seal(json.dumps(asdict(keys)).encode(), disk.id)

    async def _require_usable(self, bucket: Bucket, keys: Keys, *, field: str) -> None:
        if cause := await self._prober.probe(bucket, keys):
            raise Invalid(f"bucket {bucket.bucket} at {bucket.endpoint} cannot be used: {cause}", field=field)
