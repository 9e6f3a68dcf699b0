"""The one door for programs of the host: a list of arguments, a deadline, never a shell."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from createos_engine.errors import HostFailed


async def run(*argv: str | Path, deadline_s: float, stdin: bytes = b"") -> str:
    """Run a program to its end and return its stdout; raise HostFailed with the last line of its stderr.

    The program leads a process group, which is killed when the deadline passes or the caller is cancelled.
    """
    words = [str(word) for word in argv]
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as exc:
        raise HostFailed(f"{words[0]}: {exc.strerror}", hint="createosd doctor", argv=words) from exc
    try:
        async with asyncio.timeout(deadline_s):
            out, err = await process.communicate(stdin)
    except TimeoutError as exc:
        raise HostFailed(f"{words[0]} did not end within {deadline_s:g} s", argv=words) from exc
    finally:
        await _end(process)
    if process.returncode:
        raise HostFailed(f"{words[0]}: {_last_line(err)}", argv=words, exit_code=process.returncode)
    return out.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it failed without a word"
