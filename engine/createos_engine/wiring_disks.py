"""The part of wiring.py that is about S3 disks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from createos_engine.drivers.hypervisor import Hypervisor
from createos_engine.paths import Paths
from createos_engine.s3.addressing import url_of
from createos_engine.s3.client import S3Client
from createos_engine.services.attachments import Attachments
from createos_engine.services.background import Background
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.mounts import Mounts
from createos_engine.services.network import Network
from createos_engine.services.progress import Progress
from createos_engine.services.s3_disks import S3Disks
from createos_engine.services.vault import Vault
from createos_engine.settings import Settings
from createos_engine.store.attachments import AttachmentStore
from createos_engine.store.database import Database
from createos_engine.store.disks import DiskStore
from createos_engine.store.sandboxes import SandboxStore

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class DiskServices:
    """Registered buckets, where sandboxes have them, and their mounts."""

    disks: S3Disks
    attachments: Attachments
    mounts: Mounts


def endpoint_rules(database: Database, settings: Settings) -> Callable[[str], Sequence[str]]:
    """Return what tells which egress rules a sandbox's disks need: none where the engine speaks to the endpoints."""
    rows = AttachmentStore(database)

    def rules(sandbox_id: str) -> list[str]:
        parts = [urlsplit(url_of(row.disk.bucket)) for row in rows.of_sandbox(sandbox_id)]
        return [part.netloc if part.port else f"{part.netloc}:{_PORTS[part.scheme]}" for part in parts]

    return rules if settings.disk_keys == "guest" else lambda _: ()


def make_disks(
    database: Database,
    sandboxes: SandboxStore,
    hypervisor: Hypervisor,
    network: Network,
    locks: SandboxLocks,
    background: Background,
    progress: Progress,
    paths: Paths,
    settings: Settings,
    instance: str,
) -> DiskServices:
    """Return the services of S3 disks over one database."""
    rows, attached, client = DiskStore(database), AttachmentStore(database), S3Client()
    disks = S3Disks(rows, Vault(paths.disk_key, rows.any), client)
    mounts = Mounts(
        *(attached, sandboxes, hypervisor, client, disks.keys, background, progress, instance),
        in_guest=settings.disk_keys == "guest",
    )
    return DiskServices(disks, Attachments(attached, rows, sandboxes, mounts, network, locks, background), mounts)
