"""How fast sandboxes come to be, and what a call costs beside what the daemon itself needs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from createos_engine.services.bootfiles import probe_guest
from createos_engine.settings import load
from createos_images.builder import find_base
from createos_images.cache import Cache

from tests.performance.bench import Bench, Figure, timed
from tests.vm.bare import BareMachine
from tests.vm.engine import Box, LiveEngine


def measure(bench: Bench) -> list[Figure]:
    """Return creates beside bare boots, and calls beside each other."""
    bare = bare_boot_to_first_exec(bench.rounds)
    created = create_to_first_exec(bench.engine, bench.rounds)
    box = bench.box("busybox:1")
    call, agent = exec_over_api(box, bench.rounds * 10)
    process = command_line(box, bench.rounds * 2)
    return [
        Figure("create → first exec", created, "bare QEMU boot → first exec", bare, "≤ 1.2 ×"),
        Figure("exec true over the API", call, "the same inside the daemon", agent, "within 15 ms"),
        Figure("createos sandbox exec true", process, "exec true over the API", call, "within 200 ms"),
    ]


def create_to_first_exec(engine: LiveEngine, rounds: int) -> float:
    """Return the median from the create call to the answer of the first `true`."""
    figures = []
    for _ in range(rounds):
        boxes: list[Box] = []

        def create_and_exec(boxes: list[Box] = boxes) -> None:
            boxes.append(engine.create())
            boxes[0].exec("true")

        figures.append(timed(create_and_exec))
        boxes[0].destroy()
    return median(figures)


def bare_boot_to_first_exec(rounds: int) -> float:
    """Return the median of the same with nothing but QEMU: same kernel, initramfs, disk and agent."""
    settings = load()
    guest, base = probe_guest(settings), find_base("busybox:1", Cache(settings.cache_dir))
    if base is None:
        raise SystemExit("busybox:1 is not built: run make setup")
    figures = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            machine = BareMachine(guest, base.path, Path(directory))
            figures.append(timed(lambda machine=machine: asyncio.run(machine.boot_and_exec("true"))))
            machine.stop()
    return median(figures)


def exec_over_api(box: Box, rounds: int) -> tuple[float, float]:
    """Return the medians of `true` over the API, and of the agent's own time as exec_ms less the channel's part."""
    box.exec("true")
    calls = [timed(lambda: box.exec("true")) for _ in range(rounds)]
    path = f"/v1/sandboxes/{box.id}/exec"
    agent = [box.engine.call("POST", path, {"cmd": "true"})["exec_ms"] for _ in range(rounds)]
    return median(calls), median(agent)


def command_line(box: Box, rounds: int) -> float:
    """Return the median of `createos sandbox exec BOX -- true` as a process."""
    program = str(Path(sys.executable).parent / "createos")
    argv = [program, "sandbox", "exec", str(box.row["name"]), "--", "true"]
    run = lambda: subprocess.run(argv, env=box.engine.environment, check=True, stdin=subprocess.DEVNULL)  # noqa: E731
    return median(timed(run) for _ in range(rounds))
