"""Programs through the agent: output, input, outcome, and leaving early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest
from createos_engine.drivers.channel.agent import AgentClient, Outcome, Program, ProgramNotStarted
from createos_engine.drivers.channel.errors import ChannelLost
from createos_engine.errors import GuestFailed
from createos_engine.words import Output, Terminal

from tests.fakes.guest import FakeGuest, GuestStream


async def test_a_program_is_asked_for_as_the_protocol_says(guest: FakeGuest, agent: AgentClient) -> None:
    program = Program(("true", "-x"), env={"A": "1", "B": "two words"}, cwd="/srv", user="www")

    done = await agent.run(program, limit_bytes=100)

    assert done.outcome == Outcome(0, None, 0.5)
    assert guest.requests == [
        {
            "kind": "exec",
            "argv": ["true", "-x"],
            "env": ["A=1", "B=two words"],
            "cwd": "/srv",
            "user": "www",
            "stdin": False,
        }
    ]


async def test_output_is_streamed_and_the_outcome_known_afterwards(agent: AgentClient) -> None:
    async with agent.exec(Program(("false",))) as running:
        with pytest.raises(RuntimeError, match="has not ended"):
            _ = running.outcome
        outputs = [output async for output in running]

    assert outputs == [Output(2, b"no\n")]
    assert running.outcome.exit_code == 1


@pytest.mark.parametrize("size", [1, 262_144, 262_145, 3_000_000])
async def test_input_comes_back_whole(agent: AgentClient, size: int) -> None:
    stdin = bytes(range(256)) * (size // 256) + bytes(size % 256)

    done = await agent.run(Program(("cat",)), stdin, limit_bytes=10_000_000)

    assert done.stdout == stdin
    assert not done.stdout_cut


async def test_input_may_come_bit_by_bit(agent: AgentClient) -> None:
    async def lines() -> AsyncIterator[bytes]:
        for word in (b"one", b"two", b"three"):
            await asyncio.sleep(0)
            yield word

    done = await agent.run(Program(("cat",)), lines(), limit_bytes=100)

    assert done.stdout == b"onetwothree"


@pytest.mark.parametrize("stdin", [None, b""])
async def test_no_input_is_end_of_file(agent: AgentClient, guest: FakeGuest, stdin: bytes | None) -> None:
    done = await agent.run(Program(("cat",)), stdin, limit_bytes=100)

    assert done.stdout == b""
    assert guest.requests[0]["stdin"] is False


async def test_a_program_that_ends_before_its_input_does_is_not_waited_for(agent: AgentClient) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"begin"
            await asyncio.Event().wait()
        finally:
            closed.set()

    done = await agent.run(Program(("true",)), endless(), limit_bytes=100)

    assert done.outcome.exit_code == 0
    assert closed.is_set()


async def test_input_that_fails_ends_the_program_with_its_failure(agent: AgentClient, guest: FakeGuest) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"begin"
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError, match="the client went away"):
        await agent.run(Program(("hang",)), broken(), limit_bytes=100)

    await agent.ping()


async def test_a_guest_that_ignores_cancel_is_not_waited_for(agent: AgentClient, guest: FakeGuest) -> None:
    async def ignore(stream: GuestStream) -> None:
        return None

    async def broken() -> AsyncIterator[bytes]:
        yield b"begin"
        raise ConnectionResetError("the client went away")

    guest.scripts["exec"] = ignore
    begun = monotonic()

    with pytest.raises(ConnectionResetError):
        await agent.run(Program(("true",)), broken(), limit_bytes=100)

    assert monotonic() - begun < 4


async def test_more_output_than_the_bound_is_dropped_and_the_program_ends(agent: AgentClient) -> None:
    done = await agent.run(Program(("flood", "5000000")), limit_bytes=1_000)

    assert (len(done.stdout), done.stdout_cut, done.stderr_cut) == (1_000, True, False)
    assert done.outcome.exit_code == 0


async def test_output_of_exactly_the_bound_is_not_cut(agent: AgentClient) -> None:
    done = await agent.run(Program(("flood", "70000")), limit_bytes=70_000)

    assert (len(done.stdout), done.stdout_cut) == (70_000, False)


async def test_a_program_that_cannot_be_started_says_why(agent: AgentClient) -> None:
    with pytest.raises(ProgramNotStarted, match="could not start nope: no such program") as failure:
        await agent.run(Program(("nope",)), limit_bytes=100)

    assert (failure.value.code, failure.value.message) == ("not_found", "no such program")


async def test_leaving_early_kills_the_program(agent: AgentClient, guest: FakeGuest) -> None:
    async with agent.exec(Program(("hang",))) as running:
        pass

    assert running._stream.over
    assert await running._stream.result() == {"exit_code": 137, "elapsed_ms": 0.5, "signal": "SIGKILL"}


async def test_cancelling_a_run_kills_the_program(agent: AgentClient, guest: FakeGuest) -> None:
    running = asyncio.create_task(agent.run(Program(("hang",)), limit_bytes=100))
    await guest.until(lambda: len(guest.requests) == 1)
    stream = guest.links[0].streams[1]

    running.cancel()
    await asyncio.wait({running})

    assert running.cancelled()
    assert stream.cancelled.is_set()
    assert guest.links[0].streams == {}


async def test_leaving_a_flood_early_leaves_the_channel_usable(agent: AgentClient) -> None:
    async with agent.exec(Program(("flood", "50000000"))) as running:
        async for _ in running:
            break

    assert (await agent.run(Program(("echo", "hello")), limit_bytes=100)).stdout == b"hello\n"


async def test_a_loss_ends_a_run_with_its_reason(agent: AgentClient, guest: FakeGuest) -> None:
    running = asyncio.create_task(agent.run(Program(("hang",)), b"x" * 1_000_000, limit_bytes=100))
    await guest.until(lambda: len(guest.requests) == 1)

    await guest.stop()

    with pytest.raises(ChannelLost, match="the machine closed the channel"):
        await running


@pytest.mark.parametrize(
    "result",
    [{}, {"exit_code": 256, "elapsed_ms": 1}, {"exit_code": "0", "elapsed_ms": 1}, {"exit_code": 0, "elapsed_ms": -1}],
)
async def test_a_result_that_makes_no_sense_is_the_guests_failure(
    agent: AgentClient, guest: FakeGuest, result: dict[str, object]
) -> None:
    async def lie(stream: GuestStream) -> dict[str, object]:
        return result

    guest.scripts["exec"] = lie

    with pytest.raises(GuestFailed, match="answer has no valid"):
        await agent.run(Program(("true",)), limit_bytes=100)


async def test_a_program_on_a_terminal_is_resized_and_signalled_past_its_input(
    agent: AgentClient, guest: FakeGuest
) -> None:
    streams: list[GuestStream] = []

    async def deaf(stream: GuestStream) -> dict[str, object]:
        streams.append(stream)
        await stream.cancelled.wait()
        return {"exit_code": 137, "elapsed_ms": 1}

    guest.scripts["exec"] = deaf
    program = Program((), shell=True, pty=Terminal(rows=30, cols=100, term="vt100"))

    async with agent.exec(program, bytes(1_000_000)) as running:
        running.resize(50, 132)
        running.signal("SIGINT")
        await guest.until(lambda: bool(streams) and len(streams[0].control) == 2)

    assert streams[0].control == [{"resize": {"rows": 50, "cols": 132}}, {"signal": "SIGINT"}]
    assert guest.requests[0] == {
        "kind": "exec",
        "argv": [],
        "env": [],
        "cwd": "",
        "user": "",
        "shell": True,
        "pty": {"rows": 30, "cols": 100, "term": "vt100"},
        "stdin": True,
    }


async def test_control_messages_do_not_pile_up_while_the_guest_does_not_read(agent: AgentClient) -> None:
    async with agent.exec(Program(("hang",), pty=Terminal())) as running:
        outlet = running._stream._outlet
        outlet.pause()
        for rows in range(1, 1000):
            running.resize(rows, 80)

        assert running._stream._control == {"resize": {"rows": 999, "cols": 80}}
        outlet.resume()
        assert running._stream._control == {}
