"""Collect QEMU processes that end, where process 1 of the host is slow to do so.

libvirt leaves QEMU to process 1 and polls until it has been collected; some do that once a second or so (destroy took
1.6-2.2 s instead of 0.2-0.4 s). As subreaper this process becomes the parent and can do it at once. Exit codes that
asyncio or libvirt wait for are never taken: their children are in our session, a daemonised QEMU is not.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_IDLE_S, _NOT_OURS_S = 0.2, 0.005


def start_reaper() -> None:
    """Make this process the parent of orphaned QEMUs and collect them on a thread until the process ends."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    threading.Thread(target=_collect, name="reaper", daemon=True).start()


def _collect() -> None:
    own_session = os.getsid(0)
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            time.sleep(_IDLE_S)
            continue
        if ended and is_orphaned_qemu(ended.si_pid, own_session):
            with suppress(ChildProcessError):  # whoever has ended it was faster
                os.waitid(os.P_PID, ended.si_pid, os.WEXITED)
        else:
            time.sleep(_NOT_OURS_S)


def is_orphaned_qemu(pid: int, own_session: int, proc: Path = Path("/proc")) -> bool:
    """Tell whether an ended child is a daemonised QEMU rather than somebody's subprocess (proc(5), stat)."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except OSError:
        return False
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    session = int(stat[stat.rindex(")") + 2 :].split()[3])
    return name.startswith("qemu-system") and session != own_session
