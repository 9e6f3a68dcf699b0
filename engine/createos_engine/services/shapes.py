"""The sizes on offer (wire-api 6)."""

from __future__ import annotations

from collections.abc import Sequence

from createos_engine.errors import Invalid
from createos_engine.words import Shape

DEFAULT_DISK_MIB = 10_240

SHAPES: tuple[Shape, ...] = tuple(
    Shape(id=name, vcpu=vcpu, mem_mib=mem_mib, default_disk_mib=DEFAULT_DISK_MIB)
    for name, vcpu, mem_mib in (
        ("s-1vcpu-256mb", 1, 256),
        ("s-1vcpu-1gb", 1, 1024),
        ("s-2vcpu-2gb", 2, 2048),
        ("s-2vcpu-4gb", 2, 4096),
        ("s-4vcpu-4gb", 4, 4096),
    )
)


def find_shape(shape_id: str, shapes: Sequence[Shape] = SHAPES) -> Shape:
    """Return the shape of this id, or raise Invalid in the hosted service's words (wire-api 2.3)."""
    for shape in shapes:
        if shape.id == shape_id:
            return shape
    raise Invalid(f"unknown shape: {shape_id}", hint=f"choose one of {', '.join(s.id for s in shapes)}", field="shape")
