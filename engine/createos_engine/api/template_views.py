"""Templates as they are on the wire (wire-api 15)."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from createos_engine.api.views import moment
from createos_engine.template_words import Template


class TemplateView(TypedDict):
    """A template. `reason` says why the latest build failed; `ext4_size_bytes` is 0 until an image is there."""

    id: str
    name: str
    base: str
    status: Literal["pending", "building", "ready", "failed"]
    ext4_size_bytes: int
    attempt: int
    created_at: str
    built_at: NotRequired[str]
    reason: NotRequired[str]
    dockerfile: NotRequired[str]
    builder: NotRequired[str]


class RemovedView(TypedDict):
    """The answer of a removal."""

    id: str
    deleted: bool


def template(row: Template, *, dockerfile: bool = False) -> TemplateView:
    """Return the view of a template, with its Dockerfile when that was asked for."""
    view = TemplateView(
        id=row.id,
        name=row.name,
        base=row.base,
        status=row.status.value,
        ext4_size_bytes=row.size_bytes,
        attempt=row.attempt,
        created_at=moment(row.created_at),
    )
    if row.built_at:
        view["built_at"] = moment(row.built_at)
    if row.builder:
        view["builder"] = row.builder
    if row.reason:
        view["reason"] = row.reason
    if dockerfile:
        view["dockerfile"] = row.dockerfile
    return view
