"""Synchronising with Mutagen over the SSH gateway, when the user has it: its own daemon, session and SSH settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from createos_cli.errors import CliError, Usage
from createos_cli.sync.options import Options
from createos_cli.sync.plan import Mode

COMMAND_S = 60.0
MODES = {Mode.TWO_WAY: "two-way-safe", Mode.ONE_WAY: "one-way-safe", Mode.MIRROR: "one-way-replica"}
_VERSION = re.compile(r"\d+\.\d+")
# The wrapper takes its settings from the environment of Mutagen's daemon: nothing is pasted into it.
_WRAPPER = '#!/bin/sh\nexec "$CREATEOS_{upper}" -F "$CREATEOS_SSH_CONFIG" "$@"\n'


@dataclass(frozen=True)
class Gateway:
    """Where SSH is listened for; *host_key* is a line as in known_hosts, without the host."""

    host: str
    port: int
    host_key: str


def find_mutagen(environ: Mapping[str, str]) -> str:
    """Return the program, empty when there is none; another program of that name does not know its version."""
    path = shutil.which("mutagen", path=environ.get("PATH"))
    if not path:
        return ""
    try:
        said = subprocess.run([path, "version"], capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return path if said.returncode == 0 and _VERSION.match(said.stdout.strip()) else ""


class Mutagen:
    """One session of a Mutagen daemon of its own, whose data are in *home*."""

    def __init__(self, program: str, home: Path, environ: Mapping[str, str]) -> None:
        self._program = program
        self._home = home
        self._environ = {
            **environ,
            "MUTAGEN_DATA_DIRECTORY": str(home / "data"),
            "MUTAGEN_SSH_PATH": str(home / "bin"),
            "CREATEOS_SSH_CONFIG": str(home / "ssh_config"),
            "CREATEOS_SSH": shutil.which("ssh", path=environ.get("PATH")) or "ssh",
            "CREATEOS_SCP": shutil.which("scp", path=environ.get("PATH")) or "scp",
        }

    def prepare(self, identity: Path, gateway: Gateway) -> None:
        """Write what `ssh` must know: this key, this host key, nothing of the user's own settings."""
        bin_directory = self._home / "bin"
        bin_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._home / "data").mkdir(exist_ok=True, mode=0o700)
        for name in ("ssh", "scp"):
            wrapper = bin_directory / name
            wrapper.write_text(_WRAPPER.format(upper=name.upper()))
            wrapper.chmod(0o700)
        known = self._home / "known_hosts"
        known.write_text(f"[{gateway.host}]:{gateway.port} {gateway.host_key}\n{gateway.host} {gateway.host_key}\n")
        lines = [
            "Host *",
            f"  IdentityFile {_quoted(identity)}",
            "  IdentitiesOnly yes",
            f"  UserKnownHostsFile {_quoted(known)}",
            "  StrictHostKeyChecking yes",
            "  BatchMode yes",
        ]
        (self._home / "ssh_config").write_text("\n".join(lines) + "\n")

    def create(self, options: Options, globs: tuple[str, ...], gateway: Gateway, *, vcs: bool) -> str:
        """Begin a session and return its name."""
        name = f"createos-{options.sandbox_id}-{int(time.time())}"
        ignored = [f"--ignore={glob}" for glob in globs]
        there = f"{options.sandbox_id}@{gateway.host}:{gateway.port}:{options.remote}"
        flags = [f"--name={name}", f"--mode={MODES[options.mode]}", "--no-ignore-vcs" if vcs else "--ignore-vcs"]
        self._run("sync", "create", *flags, *ignored, options.local, there)
        return name

    def flush(self, name: str) -> None:
        """Wait until both sides agree."""
        self._run("sync", "flush", name, timeout_s=None)

    def monitor(self, name: str, *, quiet: bool) -> int:
        """Show what the session does until it is interrupted; return Mutagen's exit code."""
        nowhere = subprocess.DEVNULL if quiet else None
        with subprocess.Popen([self._program, "sync", "monitor", name], env=self._environ, stdout=nowhere) as process:
            try:
                return process.wait()
            except BaseException:
                process.terminate()
                raise

    def end(self, name: str) -> None:
        """End the session and the daemon; what is not there any more is no error."""
        for words in (("sync", "terminate", name), ("daemon", "stop")):
            subprocess.run(
                [self._program, *words], env=self._environ, capture_output=True, timeout=COMMAND_S, check=False
            )

    def _run(self, *words: str, timeout_s: float | None = COMMAND_S) -> None:
        try:
            done = subprocess.run(
                [self._program, *words], env=self._environ, capture_output=True, timeout=timeout_s, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise CliError(f"mutagen {words[0]} {words[1]}: {exc}", hint="--engine builtin does without it") from exc
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it failed"]
            raise CliError(f"mutagen {words[0]} {words[1]}: {said[0]}", hint="--engine builtin does without it")


def _quoted(path: Path) -> str:
    text = os.fspath(path)
    if not text.isprintable() or '"' in text or "\\" in text:
        raise Usage(f"{text!r} cannot be named in an SSH configuration", hint="use a path without quotes")
    return '"' + text.replace("%", "%%") + '"'
