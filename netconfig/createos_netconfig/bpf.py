"""Programs for the kernel's packet path, given as instructions (kernel document bpf/standardization)."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

from createos_netconfig.errors import NetconfigError

_SYSCALLS = {"x86_64": 321, "aarch64": 280}
_LOAD = 5
_SCHED_CLS = 3
_INSTRUCTION = struct.Struct("=BBhi")
# union bpf_attr of linux/bpf.h up to prog_name: type, count, instructions, license, log, kernel version, flags, name.
_ATTRIBUTES = struct.Struct("=IIQQIIQII16s")
_NAME_BYTES = 15


@dataclass(frozen=True)
class Program:
    """Instructions (opcode, destination, source, offset, immediate) for a classifier of packets."""

    name: str
    instructions: tuple[tuple[int, int, int, int, int], ...]

    def load(self) -> int:
        """Return a descriptor of the program in the kernel; it lives as long as that or a filter that uses it."""
        code = b"".join(
            _INSTRUCTION.pack(op, source << 4 | to, offset, number)
            for op, to, source, offset, number in self.instructions
        )
        text, license_ = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"Apache-2.0")
        name = self.name.encode()[:_NAME_BYTES]
        attributes = _ATTRIBUTES.pack(
            *(_SCHED_CLS, len(self.instructions), ctypes.addressof(text), ctypes.addressof(license_)),
            *(0, 0, 0, 0, 0, name),
        )
        return _bpf(_LOAD, attributes)


def _bpf(command: int, attributes: bytes) -> int:
    number = _SYSCALLS.get(os.uname().machine)
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = libc.syscall(number, command, buffer, len(attributes)) if number else -1
    if result < 0:
        reason = os.strerror(ctypes.get_errno() if number else errno.ENOSYS)
        raise NetconfigError(f"the kernel takes no BPF program: {reason}", "boot a kernel with CONFIG_BPF_SYSCALL")
    return int(result)
