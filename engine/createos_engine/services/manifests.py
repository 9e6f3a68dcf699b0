"""What stands beside a memory image: all that must be the same for it to be of any use, written and read strictly."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from createos_engine.drivers.hypervisor import Makeup, MemoryImage, UnusableImage
from createos_engine.words import Accelerator, Sandbox

_VERSION = 1


@dataclass(frozen=True)
class Origin:
    """The guest whose memory it is: its sandbox and the MAC it knows itself by."""

    sandbox_id: str
    mac: str


@dataclass(frozen=True)
class Needs:
    """What the memory can be restored with and nothing else."""

    base_digest: str
    vcpu: int
    mem_mib: int
    accelerator: str
    makeup: Makeup

    @classmethod
    def of(cls, sandbox: Sandbox, accelerator: Accelerator, makeup: Makeup) -> Needs:
        """Return what a memory image of *sandbox* that is saved now will need."""
        return cls(sandbox.base_digest, sandbox.vcpu, sandbox.mem_mib, accelerator.value, makeup)


@dataclass(frozen=True)
class Snapshot:
    """A memory image and what belongs to it. `layer` is the frozen disk, empty while that is the sandbox's own overlay.

    `facts` are for people: kernel, initramfs, when it was made.
    """

    id: str
    origin: Origin
    needs: Needs
    memory: MemoryImage
    layer: str = ""
    facts: dict[str, str] = field(default_factory=dict)

    def require(self, wanted: Needs) -> None:
        """Raise UnusableImage unless it can be restored with what there is now."""
        has, now = _flat(self.needs), _flat(wanted)
        for name, value in has.items():
            if value != now[name]:
                raise UnusableImage(f"it was made with {name} {value}, and now there is {now[name]}")


def write(snapshot: Snapshot) -> bytes:
    """Return the manifest's text."""
    said = asdict(snapshot) | {"version": _VERSION}
    del said["memory"]["path"]
    return (json.dumps(said, indent=1) + "\n").encode()


def read(text: bytes, memory: Path) -> Snapshot:
    """Return the snapshot of a manifest; raise UnusableImage when it says something else than it must."""
    try:
        said: dict[str, Any] = json.loads(text)
        if said["version"] != _VERSION:
            raise UnusableImage(f"its manifest has version {said['version']}, and this engine knows {_VERSION}")
        needs = said["needs"]
        makeup = Makeup(**needs.pop("makeup"))
        digests = tuple(said["memory"].pop("digests"))
        return Snapshot(
            id=said["id"],
            origin=Origin(**said["origin"]),
            needs=Needs(**needs, makeup=makeup),
            memory=MemoryImage(memory, **said["memory"], digests=digests),
            layer=said["layer"],
            facts=said["facts"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise UnusableImage(f"its manifest is damaged ({type(exc).__name__})") from exc


def _flat(needs: Needs) -> dict[str, str]:
    return {
        "base image": needs.base_digest[:12],
        "vCPUs": str(needs.vcpu),
        "memory": f"{needs.mem_mib} MiB",
        "accelerator": needs.accelerator,
        "QEMU": needs.makeup.qemu,
        "machine type": needs.makeup.machine,
        "CPU": needs.makeup.cpu,
    }
