"""Golden creates, pause, resume and fork, each beside what it is to be measured by."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import sleep

from createos_engine.services.bootfiles import probe_guest
from createos_engine.settings import load
from createos_images.builder import find_base
from createos_images.cache import Cache

from tests.performance.baresave import BareSaved
from tests.performance.bench import Bench, Figure, timed
from tests.vm.engine import Box, LiveEngine, live_engine

_FORKS = 8
_POLL_S = 0.005
_GIB = 1024


def measure(bench: Bench) -> list[Figure]:
    """Return the figures of an engine of its own, the only one here with anything made beforehand."""
    with live_engine(golden_budget_mib=2048, standbys=1) as engine:
        standby, golden, cold = creates(engine, bench.rounds)
        bare_resume = bare(bench.rounds, 256)[1]
        resumed = pause_and_resume(engine, bench.rounds, "s-1vcpu-256mb")[1]
        paused = pause_and_resume(engine, bench.rounds, "s-1vcpu-1gb")[0]
        bare_pause = bare(bench.rounds, _GIB)[0]
        forked, in_a_row = forks(engine, bench.rounds)
    return [
        Figure("create (golden) → first exec", standby, "create --cold → first exec", cold, "≤ 0.15 ×, ≤ 1200 ms"),
        Figure("the same when no machine stands by", golden, "create --cold → first exec", cold, "≤ 1200 ms"),
        Figure("resume → first exec", resumed, "bare QEMU -incoming → first exec", bare_resume, "≤ 1.3 ×"),
        Figure("pause of a fresh 1 GiB guest", paused, "bare QEMU migrate to a file", bare_pause, "≤ 1.3 ×"),
        Figure(f"{_FORKS} forks of one source answer", forked, f"{_FORKS} resumes in a row", in_a_row, "≤ 0.5 ×"),
    ]


def creates(engine: LiveEngine, rounds: int) -> tuple[float, float, float]:
    """Return the medians of creates that take over a machine, of such that find none and fork, and of cold ones."""
    create_and_exec(engine, cold=False)
    took: list[tuple[float, ...]] = []
    for _ in range(rounds):
        _until(lambda: _logged(engine, "machine stands by") > _logged(engine, "machine taken over"))
        took.append(tuple(create_and_exec(engine, cold=cold) for cold in (False, False, True)))
    standby, golden, cold = (median(each) for each in zip(*took, strict=True))
    return standby, golden, cold


def _logged(engine: LiveEngine, event: str) -> int:
    return engine.log.read_text().count(f'"event": "{event}"')


def create_and_exec(engine: LiveEngine, *, cold: bool) -> float:
    """Return how long it takes from the create call to the answer of the first `true`."""
    boxes: list[Box] = []

    def work() -> None:
        boxes.append(engine.create(cold=cold))
        boxes[0].exec("true")

    took = timed(work)
    boxes[0].destroy()
    return took


def pause_and_resume(engine: LiveEngine, rounds: int, shape: str) -> tuple[float, float]:
    """Return the medians of the first pause of fresh sandboxes, and of resume to first exec."""
    pauses, resumes = [], []
    for _ in range(rounds):
        box = engine.create(shape=shape, cold=True)
        box.exec("true")
        pauses.append(timed(lambda box=box: become(box, "pause", "paused")))
        resumes.append(timed(lambda box=box: resume_and_exec(box)))
        box.destroy()
    return median(pauses), median(resumes)


def resume_and_exec(box: Box) -> None:
    """Resume and run a program."""
    become(box, "resume", "running")
    box.exec("true")


def become(box: Box, verb: str, state: str) -> None:
    """Ask for something that takes a while, and wait until it has happened."""
    box.engine.call("POST", f"/v1/sandboxes/{box.id}/{verb}")
    _until(lambda: box.engine.rows()[box.id] == state)


def forks(engine: LiveEngine, rounds: int) -> tuple[float, float]:
    """Return the medians of eight forks at once until all answer, and of eight resumes one after the other."""
    source = engine.create(cold=True)
    at_once, in_a_row = [], []
    for _ in range(rounds):
        become(source, "pause", "paused")
        children: list[Box] = []
        at_once.append(timed(lambda children=children: _fork_all(source, children)))
        for child in children:
            child.destroy()
        took = 0.0
        for number in range(_FORKS):
            if number:
                become(source, "pause", "paused")
            took += timed(lambda: resume_and_exec(source))
        in_a_row.append(took)
    source.destroy()
    return median(at_once), median(in_a_row)


def _fork_all(source: Box, children: list[Box]) -> None:
    """Ask for all forks at once, and run a program in each as soon as it runs. One look at the states serves all."""
    engine = source.engine
    with ThreadPoolExecutor(_FORKS) as pool:
        asked = pool.map(lambda _: engine.call("POST", f"/v1/sandboxes/{source.id}/fork", {}), range(_FORKS))
        children += [Box(engine, row) for row in asked]
        waiting, answers = {child.id: child for child in children}, []
        while waiting:
            states = engine.rows()
            ready = [waiting.pop(name) for name in list(waiting) if states[name] == "running"]
            answers += [pool.submit(child.exec, "true") for child in ready]
            sleep(_POLL_S)
        for answer in answers:
            answer.result()


def bare(rounds: int, mem_mib: int) -> tuple[float, float]:
    """Return the medians of the same pause and resume with nothing but QEMU."""
    settings = load()
    guest, base = probe_guest(settings), find_base("busybox:1", Cache(settings.cache_dir))
    if base is None:
        raise SystemExit("busybox:1 is not built: run make setup")
    saves, resumes = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            machine = BareSaved(guest, base.path, Path(directory), mem_mib)
            machine.boot()
            saves.append(timed(machine.save))
            machine.stop()
            resumes.append(timed(machine.resume_and_exec))
            machine.stop()
    return median(saves), median(resumes)


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        sleep(_POLL_S)
