"""Bytes in and out of a guest, beside what its channel can do."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from statistics import median
from time import perf_counter

from createos_cli.profile import parse_endpoint
from createos_cli.transport import open_transport
from createos_cli.wire import Request

from tests.performance.bench import Bench, Figure
from tests.vm.engine import Box

MIB = 2**20
SIZE_BYTES = 32 * MIB
PIECE = bytes(MIB)


def measure(bench: Bench) -> list[Figure]:
    """Return push, pull and tunnel beside the raw channel of the same guest, in MiB/s."""
    box = bench.box("busybox:1")
    ...


def rate(action: Callable[[], object], rounds: int) -> float:
    """Return the median of SIZE_BYTES over the time that *action* takes, in MiB/s."""
    figures = []
    for _ in range(rounds):
        begun = perf_counter()
        action()
        figures.append(SIZE_BYTES / MIB / (perf_counter() - begun))
    return median(figures)
