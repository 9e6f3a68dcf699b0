"""The tools disk that is plugged into running domains; called in libvirt's threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import libvirt

from createos_engine.drivers.libvirt.domain_xml import has_disk, tools_disk_xml

SERIAL = "createos-tools"
"""By this the guest agent finds it, under whatever name (PROTOCOL.md)."""


def plug(connection: Any, name: str, image: Path) -> None:
    """Plug the disk into a domain, unless it has it."""
    domain = connection.lookupByName(name)
    if not has_disk(domain.XMLDesc(), SERIAL):
        domain.attachDeviceFlags(tools_disk_xml(image, SERIAL), libvirt.VIR_DOMAIN_AFFECT_LIVE)
