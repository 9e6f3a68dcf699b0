"""The one door to host programs: a list of arguments, a deadline, never a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from createos_images.errors import ImageError

KEPT_OUTPUT = 4000
"""Characters of a failed program's stderr that are kept for the log."""


def run(*argv: str | Path, timeout_s: float, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a host program to its end and return its stdout; *env* is added to the environment.

    Raises ImageError with the last line of stderr when it fails, is missing, or takes longer than *timeout_s*.
    """
    program = Path(argv[0]).name
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=_environment(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as exc:
        raise ImageError(f"the program {program} is not installed", "run make setup") from exc
    except subprocess.TimeoutExpired as exc:
        raise ImageError(f"{program} did not end within {timeout_s:.0f} s", "look at the load of this host") from exc
    if done.returncode:
        raise ImageError(f"{program}: {_last_line(done)}", details=done.stderr[-KEPT_OUTPUT:])
    return done.stdout


def run_confined(*argv: str | Path, timeout_s: float, env: Mapping[str, str] | None = None) -> str:
    """Run a program in mount and process namespaces of its own, which die with the calling thread.

    A builder that is killed leaves no mounts and no process that still writes into its tree.
    """
    alone = ("unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--fork", "--kill-child=KILL")
    try:
        return run("setpriv", "--pdeathsig", "KILL", *alone, *argv, timeout_s=timeout_s, env=env)
    except ImageError as exc:
        reason = exc.reason.replace("setpriv", Path(argv[0]).name, 1)
        raise ImageError(reason, exc.hint, details=exc.details) from exc


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return ours with messages in English and the administrator's programs on the PATH."""
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "PATH": f"{path}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", **extra}


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"ended with exit code {done.returncode} and no message"
