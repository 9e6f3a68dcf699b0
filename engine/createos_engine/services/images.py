"""What a create can start from: the built-in images, and the templates of the user."""

from __future__ import annotations

from typing import Protocol

from createos_images.builder import Base
from createos_images.catalog import CATALOG

from createos_engine.errors import Invalid, NotFound
from createos_engine.services.catalog import ImageCatalog
from createos_engine.words import User

TEMPLATE_PREFIX = "tpl_"  # wire-api 3
_BUILT_IN = frozenset(image.name for image in CATALOG)


class TemplateImages(Protocol):
    """The images of templates."""

    def base(self, user: User, ref: str) -> Base:
        """Return the image of the user's template; NotFound when there is no such template."""


class Images:
    """Finds the image that a name means to a user."""

    def __init__(self, catalog: ImageCatalog, templates: TemplateImages) -> None:
        self._catalog = catalog
        self._templates = templates

    def base(self, user: User, name: str) -> Base:
        """Return the image of a built-in name (empty: the default), or of a template's name or id.

        Raises Invalid (field rootfs) for an unknown name or a template that is not ready, NotFound for an unknown id.
        """
        if not name or name in _BUILT_IN:
            return self._catalog.base(name)
        try:
            return self._templates.base(user, name)
        except NotFound as exc:
            if name.startswith(TEMPLATE_PREFIX):
                raise
            known = ", ".join(self._catalog.built()) or "none is built yet"
            raise Invalid(
                f"unknown rootfs: {name}", hint=f"choose one of: {known}, or the name of a template", field="rootfs"
            ) from exc
