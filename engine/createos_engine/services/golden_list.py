"""What images this host has and which golden snapshots there are of them, without the daemon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from createos_images.builder import Base

from createos_engine.errors import NotFound
from createos_engine.golden_words import Golden
from createos_engine.paths import Paths
from createos_engine.services.catalog import ImageCatalog
from createos_engine.settings import Settings
from createos_engine.store.database import Database
from createos_engine.store.goldens import GoldenStore


@dataclass(frozen=True)
class Listing:
    """The built-in images that are built, and all golden snapshots."""

    bases: Sequence[Base]
    goldens: Sequence[Golden]


def listing(settings: Settings) -> Listing:
    """Return what there is; no golden snapshots where no daemon has run yet. Raises HostFailed."""
    catalog = ImageCatalog(settings.cache_dir, settings.default_rootfs)
    bases = [catalog.base(name) for name in catalog.built()]
    if not Paths(settings.state_dir, settings.run_dir).database.exists():
        return Listing(bases, ())
    with _store(settings) as store:
        return Listing(bases, store.all())


async def pin(settings: Settings, golden_id: str, *, pinned: bool) -> Golden:
    """Keep a golden snapshot whatever the budget says, or no longer; NotFound when there is none."""
    if not Paths(settings.state_dir, settings.run_dir).database.exists():
        raise NotFound(f"there is no golden snapshot {golden_id}", hint="createosd images lists them")
    with _store(settings) as store:
        return await store.pin(golden_id, pinned=pinned)


@contextmanager
def _store(settings: Settings) -> Iterator[GoldenStore]:
    database = Database(Paths(settings.state_dir, settings.run_dir).database)
    try:
        yield GoldenStore(database)
    finally:
        database.close()
