"""Bytes in and out of a guest through the API, beside what its channel can do with nothing on the host but a socket."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.performance.bench import Bench, Figure
from tests.performance.rawchannel import RawChannel
from tests.vm.engine import Box, LiveEngine

MIB = 2**20
SIZE_BYTES = 32 * MIB
_CONTENT = bytes(SIZE_BYTES)


def measure(bench: Bench) -> list[Figure]:
    """Return push and pull beside the raw channel of the same guest, as milliseconds for 32 MiB."""
    box = bench.box("busybox:1")
    pushed = _median(bench.rounds, lambda: _push(box))
    pulled = _median(bench.rounds, lambda: _pull(box))
    up, down = _floor(bench.engine, box, bench.rounds)
    return [
        Figure("push 32 MiB", pushed, "raw channel, upwards", up, "≤ 1.7 ×"),
        Figure("pull 32 MiB", pulled, "raw channel, downwards", down, "≤ 1.7 ×"),
    ]


def _push(box: Box) -> None:
    path = f"/v1/sandboxes/{box.id}/files?path=/dev/shm/bench"
    assert box.engine.http.put(path, content=_CONTENT).is_success


def _pull(box: Box) -> None:
    answer = box.engine.http.get(f"/v1/sandboxes/{box.id}/files?path=/dev/shm/bench")
    assert len(answer.content) == SIZE_BYTES


def _floor(engine: LiveEngine, box: Box, rounds: int) -> tuple[float, float]:
    """Stop the daemon, which is the channel's only client, and use the channel ourselves."""
    engine.signal(signal.SIGTERM)
    try:
        raw = RawChannel(Path(engine.socket).parent / "channels" / f"{box.id}.sock")
        up = median(raw.upward(SIZE_BYTES) for _ in range(rounds)) * 1000
        down = median(raw.downward(SIZE_BYTES) for _ in range(rounds)) * 1000
        raw.close()
    finally:
        engine.start()
    return up, down


def _median(rounds: int, action: Callable[[], None]) -> float:
    figures = []
    for _ in range(rounds):
        begun = perf_counter()
        action()
        figures.append((perf_counter() - begun) * 1000)
    return median(figures)
