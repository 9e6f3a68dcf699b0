"""The form of a template's submission (wire-api 15)."""

from __future__ import annotations

import re

from pydantic import field_validator

from createos_engine.api.requests import Lenient, Text
from createos_engine.template_words import NewTemplate

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class TemplateRequest(Lenient):
    """A name and the text of a Dockerfile; `base` of older clients is ignored, the file says it.

    `builder` is an extension: `vm` builds in a machine of its own, empty as the engine is set up.
    """

    name: Text
    dockerfile: Text
    builder: Text = ""

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name[:80]!r} is no name for a template; use 1 to 63 characters of a-z, 0-9 and -, the first not a -"
            )
        return name

    @field_validator("dockerfile")
    @classmethod
    def _written(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("the Dockerfile is empty; begin with FROM and one of the images of rootfs")
        return text

    def meaning(self) -> NewTemplate:
        """Return what is asked for."""
        return NewTemplate(self.name, self.dockerfile, self.builder)
