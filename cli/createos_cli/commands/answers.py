"""What a create wants, whoever said it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answers:
    """What a create wants, whether flags or the wizard said it. *auto_pause_s* 0 means never."""

    shape: str = ""
    name: str = ""
    rootfs: str = ""
    ingress: bool = False
    networks: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    auto_pause_s: int = 0
