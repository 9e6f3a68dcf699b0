"""The official Python SDK and managed processes: every method, over fakes and over a live engine."""

from __future__ import annotations

import createos
import pytest
from createos import (
    ManagedProcessConnectOptions,
    ManagedProcessCreateRequest,
    ManagedProcessDeleteOptions,
    ManagedProcessSignal,
    ManagedProcessWaitOptions,
    PTYSize,
)


def cat(box: createos.SandboxInstance) -> createos.ManagedProcess:
    """Start a program that gives back what it is given."""
    return box.processes.create(ManagedProcessCreateRequest(command="cat"))


def output(box: createos.SandboxInstance, process_id: str, after: int = 0) -> tuple[bytes, list[int]]:
    """Read a process's journal to its end; return its bytes and sequence numbers."""
    options = ManagedProcessConnectOptions(after_sequence=after)
    with box.processes.connect(process_id, options) as events:
        found = [event for event in events if event.type.value in ("data", "exit")]
    return b"".join(event.data or b"" for event in found), [event.sequence for event in found]


def test_a_process_takes_input_and_keeps_its_journal(box: createos.SandboxInstance) -> None:
    process = cat(box)
    first = box.processes.input(process.process_id, "one ")
    second = box.processes.input_bytes(process.process_id, b"two")
    box.processes.close_standard_input(process.process_id)
    ended = box.processes.wait(process.process_id, ManagedProcessWaitOptions(wait_timeout=50))

    assert second > first
    assert ended.exit_code == 0
    data, numbers = output(box, process.process_id)
    assert data == b"one two"
    assert numbers == sorted(numbers)
    assert output(box, process.process_id, after=numbers[-2])[0] == b""


def test_processes_are_listed_and_found(box: createos.SandboxInstance) -> None:
    process = cat(box)

    assert process.process_id in [row.process_id for row in box.processes.list()]
    assert box.processes.get(process.process_id).command == "cat"
    box.processes.delete(process.process_id, ManagedProcessDeleteOptions(grace_period=0))


def test_a_signal_ends_a_process_by_its_name(box: createos.SandboxInstance) -> None:
    process = cat(box)
    box.processes.signal(process.process_id, ManagedProcessSignal("SIGTERM"))

    ended = box.processes.wait(process.process_id, ManagedProcessWaitOptions(wait_timeout=50))

    assert ended.signal == "SIGTERM"


def test_a_terminal_can_be_resized_and_deleted(box: createos.SandboxInstance) -> None:
    process = box.processes.create(ManagedProcessCreateRequest(pty=PTYSize(rows=24, cols=80)))
    box.processes.resize(process.process_id, PTYSize(rows=30, cols=100))

    ended = box.processes.delete(process.process_id, ManagedProcessDeleteOptions(grace_period=0.5))

    assert process.kind.value == "pty"
    assert ended.state.value in ("exited", "failed", "terminating")


def test_an_unknown_process_is_404(box: createos.SandboxInstance) -> None:
    with pytest.raises(createos.APIError) as missing:
        box.processes.get("nobody")

    assert missing.value.status_code == 404
