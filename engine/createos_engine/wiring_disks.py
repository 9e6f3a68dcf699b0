"""What registers S3 buckets and gives them to sandboxes."""

from __future__ import annotations

from createos_engine.paths import Paths
from createos_engine.s3.client import S3Client
from createos_engine.services.attachments import Attachments
from createos_engine.services.s3_disks import S3Disks
from createos_engine.services.vault import Vault
from createos_engine.store.attachments import AttachmentStore
from createos_engine.store.database import Database
from createos_engine.store.disks import DiskStore
from createos_engine.store.sandboxes import SandboxStore


def make_disks(paths: Paths, database: Database, sandboxes: SandboxStore) -> tuple[S3Disks, Attachments]:
    """Build the registry of disks, and what sandboxes have of them."""
    store = DiskStore(database)
    registry = S3Disks(store, Vault(paths.disk_key, in_use=store.any), S3Client())
    return registry, Attachments(AttachmentStore(database), store, sandboxes)
