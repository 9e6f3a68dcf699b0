"""`createos sandbox sync` with a machine, beside unison and rclone bisync between two directories of this machine.

1,000 files of 1 kB and 50 MB in large ones, half of them on each side; then a pass with nothing to do, then an edit on
each side. The others have no machine, no emulated processor and no channel on their way: they show the work itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.performance.bench import Bench, Figure, timed

_SMALL, _SMALL_BYTES = 500, 1_000
_LARGE, _LARGE_BYTES = 5, 5_000_000
_STEPS = ("1,000 files and 50 MB, both ways", "nothing to do", "one edit on each side")
_MAKE = (
    f"mkdir -p $1 && cd $1 && for i in $(seq {_SMALL}); do head -c {_SMALL_BYTES} /dev/urandom > there$i; done; "
    f"for i in $(seq {_LARGE}); do head -c {_LARGE_BYTES} /dev/urandom > big-there$i; done"
)


def measure(bench: Bench) -> list[Figure]:
    """Return three figures for each of the programs that are installed."""
    others = {"unison": _unison, "rclone": _rclone}
    with tempfile.TemporaryDirectory(prefix="createos-bench-") as directory:
        home = Path(directory)
        ours = _ours(bench, home / "ours")
        found = [(name, run(home / name)) for name, run in others.items() if shutil.which(name)]
    return [
        Figure(f"sync: {step}", mine, f"{name}, no machine", theirs[place], "")
        for place, (step, mine) in enumerate(zip(_STEPS, ours, strict=True))
        for name, theirs in found
    ]


def _ours(bench: Bench, home: Path) -> list[float]:
    box, here = bench.box("busybox:1"), home / "here"
    _fill(here, "here")
    box.sh(_MAKE.replace("$1", "/root/bench"))
    program = str(Path(sys.executable).with_name("createos"))
    argv = [program, "sandbox", "sync", box.id, "--local", str(here), "--remote", "/root/bench", "--once"]
    argv += ["--engine", "builtin"]
    return _steps(lambda: _run(argv, bench.engine.environment), here, lambda: box.sh("echo x >> /root/bench/there1"))


def _unison(home: Path) -> list[float]:
    here, there = _both(home)
    argv = ["unison", str(here), str(there), "-batch", "-auto", "-ui", "text"]
    return _steps(
        lambda: _run(argv, {**os.environ, "UNISON": str(home / "state")}), here, lambda: _edit(there, "there1")
    )


def _rclone(home: Path) -> list[float]:
    here, there = _both(home)
    argv = ["rclone", "bisync", str(here), str(there), "--workdir", str(home / "state")]
    first = timed(lambda: _run([*argv, "--resync"], dict(os.environ)))
    return [first, *_steps(lambda: _run(argv, dict(os.environ)), here, lambda: _edit(there, "there1"))[1:]]


def _steps(run: Callable[[], None], here: Path, edit_there: Callable[[], object]) -> list[float]:
    first, idle = timed(run), timed(run)
    _edit(here, "here1")
    edit_there()
    return [first, idle, timed(run)]


def _both(home: Path) -> tuple[Path, Path]:
    here, there = home / "here", home / "there"
    _fill(here, "here")
    _fill(there, "there")
    return here, there


def _fill(directory: Path, name: str) -> None:
    directory.mkdir(parents=True)
    for number in range(1, _SMALL + 1):
        (directory / f"{name}{number}").write_bytes(os.urandom(_SMALL_BYTES))
    for number in range(1, _LARGE + 1):
        (directory / f"big-{name}{number}").write_bytes(os.urandom(_LARGE_BYTES))


def _edit(directory: Path, name: str) -> None:
    with (directory / name).open("a") as file:
        file.write("x\n")


def _run(argv: list[str], environ: dict[str, str]) -> None:
    subprocess.run(argv, env=environ, check=True, capture_output=True, timeout=300)
