"""What a synchronisation is told to do: as it was typed, and as it was understood."""

from __future__ import annotations

from dataclasses import dataclass

from createos_cli.errors import Usage
from createos_cli.sync.plan import Mode


@dataclass(frozen=True)
class Request:
    """The words of the command line. *vcs* includes version control directories."""

    local: str
    remote: str
    mode: str = "two-way"
    exclude: tuple[str, ...] = ()
    vcs: bool = False
    user: str = "root"
    identity: str = ""
    sshd_wait: str = "5s"
    force: bool = False
    yes: bool = False
    quiet: bool = False
    once: bool = False
    allow_mass_delete: bool = False
    fresh: bool = False
    engine: str = "auto"


@dataclass(frozen=True)
class Options:
    """One pair and how it is brought together. *local* is a real path, *user* owns new files in the sandbox."""

    sandbox_id: str
    local: str
    remote: str
    mode: Mode = Mode.TWO_WAY
    user: str = "root"
    allow_mass_delete: bool = False


def parse_mode(text: str) -> Mode:
    """Read `--mode`: trimmed, any case (cli-behaviour 6.3)."""
    try:
        return Mode(text.strip().lower())
    except ValueError as exc:
        raise Usage(f"--mode {text} is unknown", hint="it may be two-way, one-way or mirror") from exc
