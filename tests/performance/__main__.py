"""`make bench`: every operation beside its floor, in one run, as medians and their ratio. Nothing is asserted.

It runs in network and mount namespaces of its own; the machine's load is part of every figure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from createos_engine.services.bootfiles import probe_guest
from createos_engine.settings import load
from createos_images.builder import find_base
from createos_images.cache import Cache

from tests.vm.bare import BareMachine
from tests.vm.engine import Box, LiveEngine, live_engine

_INSIDE = "CREATEOS_BENCH_INSIDE"
_BAR_WIDTH = 40


@dataclass(frozen=True)
class Figure:
    """One operation and its floor, medians in milliseconds, and the goal for `measured` against `floor`."""

    what: str
    measured_ms: float
    floor: str
    floor_ms: float
    goal: str

    @property
    def ratio(self) -> float:
        """How many times the floor it takes."""
        return self.measured_ms / self.floor_ms


def timed(action: Callable[[], object]) -> float:
    """Return how long *action* takes, in milliseconds."""
    begun = perf_counter()
    action()
    return (perf_counter() - begun) * 1000


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


def measure(rounds: int) -> list[Figure]:
    """Measure everything once."""
    bare = bare_boot_to_first_exec(rounds)
    with live_engine() as engine:
        created = create_to_first_exec(engine, rounds)
        box = engine.create(name="bench")
        call, agent = exec_over_api(box, rounds * 10)
        process = command_line(box, rounds * 2)
    return [
        Figure("create → first exec", created, "bare QEMU boot → first exec", bare, "≤ 1.2 ×"),
        Figure("exec true over the API", call, "the same inside the daemon", agent, "within 15 ms"),
        Figure("createos sandbox exec true", process, "exec true over the API", call, "within 200 ms"),
    ]


def table(figures: list[Figure]) -> str:
    """Return the figures as a Markdown table, and under it a bar for each ratio."""
    lines = [
        "| operation | median | floor | median | ratio | difference | goal |",
        "|---|---:|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| {f.what} | {f.measured_ms:.1f} ms | {f.floor} | {f.floor_ms:.1f} ms | {f.ratio:.2f} | "
        f"{f.measured_ms - f.floor_ms:.1f} ms | {f.goal} |"
        for f in figures
    ]
    largest = max(f.measured_ms for f in figures)
    bars = [
        f"{name[:34]:34} {'█' * max(1, round(ms / largest * _BAR_WIDTH))} {ms:.0f} ms"
        for f in figures
        for name, ms in ((f.what, f.measured_ms), (f.floor, f.floor_ms))
    ]
    return "\n".join([*lines, "", *bars, ""])


def main() -> None:
    """Enter namespaces of our own, measure, print."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often the slow operations are measured")
    rounds = parser.parse_args().rounds
    if not os.environ.get(_INSIDE):
        unshare = shutil.which("unshare") or "unshare"
        argv = [unshare, "--net", "--mount", "--", sys.executable, "-m", "tests.performance", *sys.argv[1:]]
        os.execve(unshare, argv, {**os.environ, _INSIDE: "1"})
    sys.stdout.write(table(measure(rounds)))


if __name__ == "__main__":
    main()
