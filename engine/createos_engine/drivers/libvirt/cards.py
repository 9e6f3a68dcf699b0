"""Network cards that are plugged into running domains and pulled out again; called in libvirt's threads."""

from __future__ import annotations

from time import monotonic, sleep
from typing import Any

import libvirt

from createos_engine.drivers.hypervisor import Nic
from createos_engine.drivers.libvirt.domain_xml import interface_xml, macs
from createos_engine.errors import HostFailed

_POLL_S = 0.05
_ASK_AGAIN_S = 2.0
_GONE = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID)
# A guest that is still booting, or has been asked already, gives one of these; asking again is all there is to do.
_BUSY = (libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_DEVICE_MISSING)


def plug(connection: Any, name: str, nic: Nic) -> None:
    """Plug a card into a domain, unless it has it."""
    domain = connection.lookupByName(name)
    if nic.mac not in macs(domain.XMLDesc()):
        domain.attachDeviceFlags(interface_xml(nic.mac, nic.tap), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def unplug(connection: Any, name: str, nic: Nic, deadline_s: float) -> None:
    """Pull a card and wait until the guest has let go of it; HostFailed when it does not within *deadline_s*."""
    end, ask_at = monotonic() + deadline_s, 0.0
    while _has(connection, name, nic):
        now = monotonic()
        if now >= end:
            raise HostFailed(
                f"the guest does not let go of its network card {nic.mac}", hint="try again, or stop the sandbox"
            )
        if now >= ask_at:
            ask_at = now + _ASK_AGAIN_S
            _ask(connection, name, nic)
        sleep(_POLL_S)


def _has(connection: Any, name: str, nic: Nic) -> bool:
    try:
        return nic.mac in macs(connection.lookupByName(name).XMLDesc())
    except libvirt.libvirtError as exc:
        if exc.get_error_code() in _GONE:
            return False
        raise


def _ask(connection: Any, name: str, nic: Nic) -> None:
    try:
        domain = connection.lookupByName(name)
        domain.detachDeviceFlags(interface_xml(nic.mac, nic.tap), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as exc:
        if exc.get_error_code() not in (*_GONE, *_BUSY):
            raise
