"""The words of managed processes as plain data (wire-api 8). No behaviour, no imports of ours but the other words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from createos_engine.words import Terminal


class ProcessState(StrEnum):
    """How far a process is; `exited` is its leader's end, the rest of its tree may live on (wire-api 8.1)."""

    STARTING = "starting"
    RUNNING = "running"
    TERMINATING = "terminating"
    EXITED = "exited"
    FAILED = "failed"


class Scope(StrEnum):
    """Whose end is waited for: the process that was started, or everything that it has started too."""

    LEADER = "leader"
    TREE = "tree"


class ProcessSignal(StrEnum):
    """What may be sent to a process (wire-api 8.8)."""

    SIGHUP = "SIGHUP"
    SIGINT = "SIGINT"
    SIGQUIT = "SIGQUIT"
    SIGKILL = "SIGKILL"
    SIGTERM = "SIGTERM"
    SIGUSR1 = "SIGUSR1"
    SIGUSR2 = "SIGUSR2"
    SIGWINCH = "SIGWINCH"


@dataclass(frozen=True)
class NewProcess:
    """What to start. An empty `cmd` is the default shell and needs a `terminal`; an empty `cwd` is the image's."""

    cmd: str = ""
    args: tuple[str, ...] = ()
    cwd: str = ""
    env: dict[str, str] = field(default_factory=dict)
    terminal: Terminal | None = None


@dataclass(frozen=True)
class Foreground:
    """The job that a terminal belongs to at the moment."""

    pid: int
    cmd: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutputWindow:
    """What of the output can still be read: the numbers of its events and how many bytes it has."""

    oldest_seq: int
    newest_seq: int
    bytes: int


@dataclass(frozen=True)
class Process:
    """A managed process as its guest describes it. Killed by signal n: `exit_code` is 128 + n and `signal` its name."""

    id: str
    on_terminal: bool
    pid: int
    state: ProcessState
    leader_exited: bool
    tree_exited: bool
    created_at: datetime
    cmd: str
    cwd: str
    output: OutputWindow
    args: tuple[str, ...] = ()
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: str = ""
    foreground: Foreground | None = None


@dataclass(frozen=True)
class ProcessOutput:
    """A piece of output, at most 32 KiB; `stream` is stdout, stderr or pty."""

    seq: int
    stream: str
    data: bytes


@dataclass(frozen=True)
class ProcessExit:
    """The leader has ended, and all it had written came before."""

    seq: int
    exit_code: int
    signal: str = ""


@dataclass(frozen=True)
class OutputExpired:
    """The reader is behind what is kept; the oldest event that is has this number."""

    oldest_seq: int


@dataclass(frozen=True)
class OutputLost:
    """The guest can no longer be read from; `reason` says why."""

    reason: str


@dataclass(frozen=True)
class OutputOver:
    """Everything was read and the whole tree is gone."""


ProcessEvent = ProcessOutput | ProcessExit | OutputExpired | OutputLost | OutputOver
