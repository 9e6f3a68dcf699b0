"""`make bench`: every operation beside its floor, in one run, as medians and their ratio. Nothing is asserted.

It runs in network and mount namespaces of its own; the machine's load is part of every figure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib import import_module

from tests.performance.bench import Bench, table
from tests.vm.engine import live_engine

_INSIDE = "CREATEOS_BENCH_INSIDE"
# Modules beside this one; each has measure(bench).
SUBJECTS = ("creates", "goldens", "transfers", "shells", "crowds", "syncs", "networks", "egress", "disks", "templates")


def main() -> None:
    """Enter namespaces of our own, measure, print."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often the slow operations are measured")
    parser.add_argument("--only", choices=SUBJECTS, nargs="+", default=SUBJECTS, help="measure these alone")
    wanted = parser.parse_args()
    if not os.environ.get(_INSIDE):
        unshare = shutil.which("unshare") or "unshare"
        argv = [unshare, "--net", "--mount", "--", sys.executable, "-m", "tests.performance", *sys.argv[1:]]
        os.execve(unshare, argv, {**os.environ, _INSIDE: "1"})
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # Between two comparisons of database and host a measurement may put links elsewhere.
    with live_engine(reconcile_every_s=3600) as engine:
        bench = Bench(engine, wanted.rounds)
        figures = [
            figure for name in wanted.only for figure in import_module(f"tests.performance.{name}").measure(bench)
        ]
        sys.stdout.write(table(figures))


if __name__ == "__main__":
    main()
