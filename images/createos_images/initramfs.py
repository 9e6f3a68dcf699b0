"""The first root of a guest: the agent as /init, and the kernel modules it loads."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from createos_images import cpio, modules
from createos_images.agent import Agent
from createos_images.cache import Cache, building, partial, publish, publish_text
from createos_images.errors import ImageError
from createos_images.kernel import Kernel
from createos_images.progress import Progress

MOUNT_POINTS = ("dev", "newroot", "proc", "sys")


@dataclass(frozen=True)
class Initramfs:
    """An uncompressed archive; *digest* is that of its bytes, and its name in the cache."""

    path: Path
    digest: str


def build_initramfs(cache: Cache, kernel: Kernel, agent: Agent, progress: Progress) -> Initramfs:
    """Return the initramfs of *kernel* and *agent*; the same ones give the same file."""
    order = _load_order(kernel)
    data = cpio.archive(_entries(kernel, agent, order))
    name = hashlib.sha256(data).hexdigest()
    target = cache.initramfs / f"{name}.img"
    if not target.is_file():
        with building(cache, "initramfs", progress):
            _publish(cache, data, target)
        publish_text(_description(kernel, agent, order, len(data)), target.with_suffix(".json"))
        _report(progress, order, len(data))
    return Initramfs(target, name)


def _load_order(kernel: Kernel) -> modules.LoadOrder:
    texts = []
    for name in ("modules.dep", "modules.builtin"):
        try:
            texts.append((kernel.modules_dir / name).read_text(encoding="utf-8"))
        except FileNotFoundError as exc:
            raise ImageError(f"{kernel.modules_dir} has no {name}", "run depmod for the kernel you put there") from exc
    return modules.load_order(*texts)


def _entries(kernel: Kernel, agent: Agent, order: modules.LoadOrder) -> list[cpio.Entry]:
    entries = [cpio.directory(name) for name in (*MOUNT_POINTS, "modules")]
    entries.append(cpio.file("init", agent.path.read_bytes(), 0o755))
    entries.append(cpio.file("modules/order", order.text.encode()))
    for file in (*order.before_root, *order.after_root):
        entries.append(cpio.file(f"modules/{modules.name_in_guest(file)}", modules.read(kernel.modules_dir / file)))
    return entries


def _publish(cache: Cache, data: bytes, target: Path) -> None:
    with partial(cache.initramfs, "initramfs") as work:
        (work / target.name).write_bytes(data)
        publish(work / target.name, target)


def _description(kernel: Kernel, agent: Agent, order: modules.LoadOrder, size: int) -> str:
    said = {
        "kernel": kernel.version,
        "agent": agent.version,
        "agent_sources": agent.digest,
        "size_bytes": size,
        "modules": order.text.splitlines(),
        "modules_missing": list(order.missing),
    }
    return json.dumps(said, indent=2) + "\n"


def _report(progress: Progress, order: modules.LoadOrder, size: int) -> None:
    progress(f"initramfs: {size / 2**20:.1f} MiB, {len(order.before_root) + len(order.after_root)} modules")
    if order.missing:
        progress(f"the kernel lacks optional modules: {', '.join(order.missing)}")
