"""Many at once: programs in one sandbox, and tunnels that nobody says anything through."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles
from time import perf_counter

from tests.performance.bench import Bench, Figure
from tests.vm.engine import Box

PROGRAMS, TUNNELS = 50, 200


def measure(bench: Bench) -> list[Figure]:
    """Return the slowest of 50 programs beside the middle one, and the daemon's memory with and without 200 tunnels."""
    box = bench.box("busybox:1")
    middle, slowest = _programs(box)
    box.exec("/bin/sh", "-c", "mkdir -p /www; httpd -p 127.0.0.1:8123 -h /www")
    before, after = _tunnels(box)
    return [
        Figure(f"{PROGRAMS} execs at once: p99", slowest, "their p50", middle, "≤ 5 ×"),
        Figure(f"memory with {TUNNELS} idle tunnels", after, "without them", before, "bounded", unit="MiB"),
    ]


def _programs(box: Box) -> tuple[float, float]:
    def run(_: int) -> float:
        begun = perf_counter()
        box.exec("true")
        return (perf_counter() - begun) * 1000

    with ThreadPoolExecutor(PROGRAMS) as pool:
        took = list(pool.map(run, range(PROGRAMS)))
    return median(took), quantiles(took, n=100)[98]


def _tunnels(box: Box) -> tuple[float, float]:
    before = box.engine.memory_mib()
    links = [box.tunnel(8123) for _ in range(TUNNELS)]
    after = box.engine.memory_mib()
    assert box.exec("true")["exit_code"] == 0
    for link in links:
        link.close()
    return before, after
