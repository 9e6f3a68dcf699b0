"""QEMU's monitor, asked through libvirt (QEMU docs/interop/qmp-spec): for what libvirt has no call of its own for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import libvirt_qemu


class Refused(Exception):
    """What QEMU says of something that it did not do."""


def ask(domain: Any, command: str, *, files: Sequence[int] = (), **arguments: object) -> Any:
    """Return what QEMU answers; raise Refused with its words, or libvirtError when there is no answer.

    QEMU gets *files*, descriptors of this process, together with the command.
    """
    names = {name.replace("_", "-"): value for name, value in arguments.items()}
    text = json.dumps({"execute": command, "arguments": names})
    if files:
        answer, _ = libvirt_qemu.qemuMonitorCommandWithFiles(domain, text, list(files), 0)
    else:
        answer = libvirt_qemu.qemuMonitorCommand(domain, text, 0)
    said = json.loads(answer)
    if "error" in said:
        raise Refused(f"QEMU refused {command}: {said['error'].get('desc', 'it does not say why')}")
    return said["return"]
