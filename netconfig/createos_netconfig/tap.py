"""Tap devices, made through /dev/net/tun."""

from __future__ import annotations

import fcntl
import os
import struct

from createos_netconfig.errors import NetconfigError

# linux/if_tun.h
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_INTERFACE_REQUEST = struct.Struct("16sH22x")


def open_tap(interface: str) -> int:
    """Return a descriptor on a tap, which is made if need be, as libvirt opens it: virtio headers, nothing else."""
    try:
        handle = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except OSError as exc:
        raise NetconfigError(f"/dev/net/tun cannot be opened: {exc.strerror}", "modprobe tun") from exc
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
        fcntl.ioctl(handle, _TUNSETIFF, _INTERFACE_REQUEST.pack(interface.encode(), flags))
    except OSError as exc:
        os.close(handle)
        raise NetconfigError(f"the tap {interface} could not be made: {exc.strerror}") from exc
    return handle


def make_tap(interface: str) -> None:
    """Make a tap that stays when nobody has it open."""
    handle = open_tap(interface)
    try:
        fcntl.ioctl(handle, _TUNSETPERSIST, 1)
    except OSError as exc:
        raise NetconfigError(f"the tap {interface} could not be kept: {exc.strerror}") from exc
    finally:
        os.close(handle)
