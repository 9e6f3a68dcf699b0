"""The agent's SFTP server and its look-up of users, on this machine, through the engine's own client."""

from __future__ import annotations

import pwd
import struct
from pathlib import Path

from createos_engine.drivers.channel.agent import AgentClient, Program
from createos_engine.drivers.channel.stream import Stream

INIT = b"\x00\x00\x00\x05\x01\x00\x00\x00\x03"


async def version_of(stream: Stream) -> bytes:
    await stream.send(INIT)
    received = b""
    async for piece in stream:
        received += piece.data
        if len(received) > 4 and len(received) >= 4 + struct.unpack(">I", received[:4])[0]:
            break
    return received


async def test_sftp_greets_with_version_3_and_ends_with_its_input(real: AgentClient) -> None:
    stream = await real.open("sftp", env=[], cwd="/", user="")

    greeting = await version_of(stream)
    stream.send_eof()
    stream.discard()

    assert greeting[4:9] == b"\x02\x00\x00\x00\x03"
    assert b"posix-rename@openssh.com" in greeting
    assert (await stream.result())["exit_code"] == 0


async def test_sftp_runs_as_the_user_it_is_asked_for(real: AgentClient, tmp_path: Path) -> None:
    stream = await real.open("sftp", env=[], cwd="/", user="nobody")
    await version_of(stream)

    owners = {entry.stat().st_uid for entry in Path("/proc").iterdir() if _is_sftp(entry)}
    stream.send_eof()
    stream.discard()
    await stream.result()

    assert owners == {pwd.getpwnam("nobody").pw_uid}


async def test_a_home_is_where_programs_can_begin(real: AgentClient) -> None:
    done = await real.run(Program(("pwd",), cwd="~"), limit_bytes=100)

    assert done.stdout == b"/root\n"


async def test_a_home_that_is_missing_is_not_made(real: AgentClient) -> None:
    done = await real.run(Program(("pwd",), cwd="~", user="nobody"), limit_bytes=100)

    assert done.stdout == b"/\n"
    assert not Path("/nonexistent").exists()


def _is_sftp(entry: Path) -> bool:
    try:
        return entry.name.isdigit() and (entry / "cmdline").read_bytes() == b"/proc/self/exe\0--sftp\0"
    except OSError:
        return False
