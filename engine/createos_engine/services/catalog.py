"""What can be asked for: shapes and built-in images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from createos_images.builder import Base, find_base
from createos_images.cache import Cache
from createos_images.catalog import CATALOG, build_command
from createos_images.errors import ImageError

from createos_engine.errors import HostFailed, Invalid
from createos_engine.services.shapes import SHAPES
from createos_engine.words import Catalog, CatalogEntry, Shape


class ImageCatalog:
    """Shapes, and the built-in images that are built on this host."""

    def __init__(self, cache_dir: Path, default_rootfs: str) -> None:
        self._cache = Cache(cache_dir)
        self._default = default_rootfs

    def shapes(self) -> Sequence[Shape]:
        """Return the sizes on offer."""
        return SHAPES

    def rootfs(self) -> Catalog:
        """Return the images on offer: those that are built."""
        entries = tuple(
            CatalogEntry(name=image.name, description=image.description) for image in CATALOG if self._find(image.name)
        )
        return Catalog(entries=entries, default=self._default)

    def built(self) -> tuple[str, ...]:
        """Return the names of the images that are built."""
        return tuple(entry.name for entry in self.rootfs().entries)

    def base(self, name: str) -> Base:
        """Return the base image of a name (empty: the default); raise Invalid (field rootfs) with the remedy."""
        wanted = name or self._default
        if wanted not in {image.name for image in CATALOG}:
            known = ", ".join(self.built()) or "none is built yet"
            raise Invalid(f"unknown rootfs: {wanted}", hint=f"choose one of: {known}", field="rootfs")
        base = self._find(wanted)
        if base is None:
            raise Invalid(f"the image {wanted} is not built on this host", hint=build_command(wanted), field="rootfs")
        return base

    def _find(self, name: str) -> Base | None:
        try:
            return find_base(name, self._cache)
        except ImageError as exc:
            raise HostFailed(exc.reason, hint=exc.hint) from exc
