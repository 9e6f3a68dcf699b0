"""Bundles: kernel, images and templates of this host in one file, for a host without a network."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from createos_images.bundle import export_bundle, import_bundle
from createos_images.bundle_manifest import BundledTemplate, Manifest
from createos_images.cache import Cache
from createos_images.errors import ImageError

from createos_engine.errors import HostFailed, Invalid
from createos_engine.paths import Paths
from createos_engine.services.accounts import Accounts
from createos_engine.settings import Settings
from createos_engine.store.accounts import AccountStore
from createos_engine.store.database import Database
from createos_engine.store.templates import Result, TemplateStore
from createos_engine.template_words import Build, NewTemplate, Template
from createos_engine.words import Page, User

Say = Callable[[str], None]


@dataclass(frozen=True)
class Bundled:
    """What went through: names of images and of templates."""

    images: tuple[str, ...]
    templates: tuple[str, ...]


async def export(
    settings: Settings, target: Path, say: Say, *, images: Sequence[str] = (), templates: Sequence[str] | None = None
) -> Bundled:
    """Write a bundle of *images* (all when empty) and the caller's *templates* (all that are ready when None)."""
    async with _store(settings) as (store, user):
        chosen = _chosen(store, user, templates)
    with _image_errors():
        return _said(export_bundle(Cache(settings.cache_dir), target, chosen, say, only=images))


async def import_(settings: Settings, source: Path, say: Say) -> Bundled:
    """Bring a bundle into the cache, and its templates to the caller; they replace those of the same name."""
    if not source.is_file():
        raise Invalid(f"there is no bundle {source}", hint="name the file that createosd bundle export wrote")
    with _image_errors():
        manifest = import_bundle(Cache(settings.cache_dir), source, say)
    async with _store(settings) as (store, user):
        for one in manifest.templates:
            await store.adopt(
                user,
                NewTemplate(one.name, one.dockerfile),
                base=one.base,
                result_key=one.result_key,
                result=Result(one.digest, one.size_bytes),
            )
    return _said(manifest)


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[tuple[TemplateStore, User]]:
    """Open the database beside a daemon that may be running; the caller is who runs this command."""
    settings.state_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    with closing(Database(Paths(settings.state_dir, settings.run_dir).database)) as database:
        user = await Accounts(AccountStore(database)).by_uid(int(os.environ.get("SUDO_UID", os.getuid())))
        yield TemplateStore(database), user


def _chosen(store: TemplateStore, user: User, names: Sequence[str] | None) -> list[BundledTemplate]:
    """Return the templates of these names, or all that have an image; NotFound for a name that has none."""
    if names is None:
        rows = [row for row in store.page(user.id, Page(limit=500))[0] if row.digest]
    else:
        rows = [store.find(user.id, name) for name in names]
    return [_bundled(row, store.newest_ready(row.id)) for row in rows]


def _bundled(row: Template, build: Build) -> BundledTemplate:
    return BundledTemplate(row.name, build.dockerfile, row.base, build.result_key, row.digest, row.size_bytes)


def _said(manifest: Manifest) -> Bundled:
    return Bundled(tuple(manifest.names), tuple(template.name for template in manifest.templates))


@contextmanager
def _image_errors() -> Iterator[None]:
    try:
        yield
    except ImageError as exc:
        raise HostFailed(exc.reason, hint=exc.hint) from exc
