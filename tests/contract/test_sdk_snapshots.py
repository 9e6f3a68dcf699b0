"""The official Python SDK pauses, resumes and forks: over fakes and over a live engine."""

from __future__ import annotations

import createos
from createos import SandboxStatus, WaitOptions

PATIENTLY = WaitOptions(timeout=600)


def test_a_sandbox_is_paused_resumed_and_forked(box: createos.SandboxInstance) -> None:
    box.pause()
    box.wait_until_paused(PATIENTLY)
    assert box.status is SandboxStatus.PAUSED

    child = box.fork()
    child.wait_until_running(PATIENTLY)
    box.resume()
    box.wait_until_running(PATIENTLY)

    assert box.status is SandboxStatus.RUNNING
    assert child.data.forked_from == box.id
    assert child.id != box.id
    child.destroy()


def test_auto_pause_is_set_and_cleared(box: createos.SandboxInstance) -> None:
    box.set_auto_pause(600)
    assert box.refresh().data.auto_pause_after_seconds == 600

    box.set_auto_pause(None)
    assert not box.refresh().data.auto_pause_after_seconds
