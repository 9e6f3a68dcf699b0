"""The official Python SDK pauses, resumes and forks: over fakes and over a live engine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import createos
import pytest
from createos import SandboxStatus

from tests.contract.conftest import Engine


@pytest.fixture
def box(engine: Engine) -> Iterator[createos.SandboxInstance]:
    with createos.Client(engine.api_key, base_url=engine.base_url, timeout=120) as client:
        name = f"sdk-{uuid.uuid4().hex[:12]}"
        sandbox = client.create_sandbox(
            createos.CreateSandboxRequest(shape="s-1vcpu-256mb", rootfs="busybox:1", name=name)
        )
        yield sandbox
        sandbox.destroy()


def test_a_sandbox_is_paused_resumed_and_forked(box: createos.SandboxInstance) -> None:
    box.pause()
    box.wait_until_paused()
    assert box.status is SandboxStatus.PAUSED

    child = box.fork()
    child.wait_until_running()
    box.resume()
    box.wait_until_running()

    assert box.status is SandboxStatus.RUNNING
    assert child.data.forked_from == box.id
    assert child.id != box.id
    child.destroy()


def test_auto_pause_is_set_and_cleared(box: createos.SandboxInstance) -> None:
    box.set_auto_pause(600)
    assert box.refresh().data.auto_pause_after_seconds == 600

    box.set_auto_pause(None)
    assert not box.refresh().data.auto_pause_after_seconds
