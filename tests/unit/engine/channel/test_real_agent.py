"""The Go agent of images/agent on a unix socket of this machine, driven by the engine's own client."""

from __future__ import annotations

import asyncio
import os

import pytest
from createos_engine.drivers.channel.agent import AgentClient, Program, ProgramNotStarted
from createos_engine.errors import GuestFailed
from createos_engine.words import Terminal

ENV = {"PATH": "/usr/bin:/bin"}


def shell(script: str) -> Program:
    return Program(("sh", "-c", script), env=ENV, cwd="/")


async def test_it_greets(real: AgentClient) -> None:
    assert (real.ready.version, real.ready.boot_state) == (1, "ready")
    assert "exec" in real.ready.capabilities


async def test_output_errors_and_exit_code_come_apart(real: AgentClient) -> None:
    done = await real.run(shell("echo out; echo err >&2; exit 7"), limit_bytes=100)

    assert (done.stdout, done.stderr, done.outcome.exit_code) == (b"out\n", b"err\n", 7)


async def test_a_signal_is_named(real: AgentClient) -> None:
    done = await real.run(shell("kill -9 $$"), limit_bytes=100)

    assert (done.outcome.exit_code, done.outcome.signal) == (137, "SIGKILL")


@pytest.mark.parametrize("size", [5, 262_144, 3_000_000])
async def test_input_comes_back_whole(real: AgentClient, size: int) -> None:
    stdin = os.urandom(size)

    done = await real.run(Program(("cat",), env=ENV), stdin, limit_bytes=10_000_000)

    assert done.stdout == stdin


async def test_a_program_that_does_not_exist_is_said_so(real: AgentClient) -> None:
    with pytest.raises(ProgramNotStarted) as failure:
        await real.run(Program(("no-such-program",), env=ENV), limit_bytes=100)

    assert failure.value.code == "not_found"


async def test_leaving_early_kills_and_the_agent_answers_on(real: AgentClient) -> None:
    async with real.exec(shell("yes")) as running:
        async for _ in running:
            break

    await real.ping()
    assert real.connected


async def test_a_program_that_nobody_reads_holds_up_no_other(real: AgentClient) -> None:
    async with real.exec(shell("yes")) as unread:
        await anext(unread)

        done = await real.run(shell("head -c 3000000 /dev/zero"), limit_bytes=4_000_000)

        assert len(done.stdout) == 3_000_000


async def test_many_programs_at_once(real: AgentClient) -> None:
    runs = (real.run(shell(f"echo {number}"), limit_bytes=100) for number in range(40))

    done = await asyncio.gather(*runs)

    assert [one.stdout for one in done] == [b"%d\n" % number for number in range(40)]


async def test_a_large_environment_fits(real: AgentClient) -> None:
    values = {f"KEY_{number}": "x" * 100_000 for number in range(10)}

    done = await real.run(Program(("sh", "-c", "echo ${#KEY_9}"), env={**ENV, **values}), limit_bytes=100)

    assert done.stdout == b"100000\n"


async def test_an_open_that_is_cancelled_half_way_leaves_nothing_behind(real: AgentClient) -> None:
    opening = asyncio.create_task(real._channel.open({"kind": "ping", "padding": "x" * 4_000_000}))
    await asyncio.sleep(0)

    opening.cancel()
    await asyncio.wait({opening})
    await real.ping()

    async with asyncio.timeout(60):
        while real._channel._streams:
            await asyncio.sleep(0.01)


async def test_stats_are_figures(real: AgentClient) -> None:
    stats = await real.stats()

    assert 0 < stats.mem_available_kib <= stats.mem_total_kib
    assert stats.processes > 0


async def test_an_unknown_request_is_refused(real: AgentClient) -> None:
    with pytest.raises(GuestFailed, match="the guest agent could not shutdown"):
        await real.shutdown("poweroff")


async def test_a_terminal_is_resized_and_interrupted(real: AgentClient) -> None:
    script = "trap 'stty size' WINCH; trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    program = Program(("sh", "-c", script), env=ENV, pty=Terminal(rows=30, cols=100))
    shown = b""

    async with real.exec(program) as running:
        async for output in running:
            assert output.stream == 1
            shown += output.data
            if shown.endswith(b"ready\r\n"):
                running.resize(50, 132)
            if shown.endswith(b"50 132\r\n"):
                running.signal("SIGINT")

    assert shown == b"ready\r\n50 132\r\ninterrupted\r\n"
    assert running.outcome.exit_code == 5


async def test_a_line_runs_in_the_login_shell(real: AgentClient) -> None:
    done = await real.run(Program(("echo $((6*7))",), env=ENV, shell=True), limit_bytes=100)

    assert done.stdout == b"42\n"
