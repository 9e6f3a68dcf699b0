"""From the words of `sync` to a running synchronisation: all checks first, then the lock, then the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from createos_cli.client import segment
from createos_cli.durations import parse_duration
from createos_cli.errors import ApiFailure, CliError, Usage
from createos_cli.sync.entries import Side
from createos_cli.sync.failures import Stop
from createos_cli.sync.guards import check_local, check_remote
from createos_cli.sync.interruption import interruptible
from createos_cli.sync.local_tree import LocalTree
from createos_cli.sync.manifest import Manifest
from createos_cli.sync.mutagen import find_mutagen
from createos_cli.sync.options import Options, Request, parse_mode
from createos_cli.sync.outcome import Outcome
from createos_cli.sync.over_ssh import NoGateway, run_mutagen
from createos_cli.sync.report import Report
from createos_cli.sync.session import Synchroniser
from createos_cli.sync.skips import Skips
from createos_cli.sync.state import locked, pair_name, state_directory
from createos_cli.wire import Upgraded

if TYPE_CHECKING:
    from createos_cli.session import Session

ENGINES = ("auto", "builtin", "mutagen")
_OVER = frozenset({"destroying", "destroyed", "failed", "error"})
_CONFLICT = 409


def begin(session: Session, request: Request, choose: Callable[[], str]) -> int:
    """Check, then synchronise until interrupted (exit code 0) or, with `--once`, until both sides agree."""
    mode, skips = parse_mode(request.mode), Skips(request.exclude, vcs=not request.vcs)
    if request.engine not in ENGINES:
        raise Usage(f"--engine {request.engine} is unknown", hint="it may be auto, builtin or mutagen")
    parse_duration(request.sshd_wait)
    remote = check_remote(request.remote)
    state = state_directory(session.around.environ, session.around.home)
    local = check_local(request.local, session.around.home, state, force=request.force)
    sandbox_id = choose()
    options = Options(sandbox_id, local, remote, mode, request.user, request.allow_mass_delete)
    name = pair_name(sandbox_id, local, remote)
    try:
        with interruptible(), locked(state / f"{name}.lock"):
            return _with_an_engine(session, request, options, skips, state / name)
    except KeyboardInterrupt:
        return 0


def _with_an_engine(session: Session, request: Request, options: Options, skips: Skips, place: Path) -> int:
    """Use Mutagen when it is there and can work, else the built-in engine."""
    report = _report(session, request)
    if program := _mutagen(session, request):
        home = place.with_name(f"{options.sandbox_id}.mutagen")
        try:
            return run_mutagen(session, request, options, home, program)
        except NoGateway as exc:
            if request.engine == "mutagen":
                raise
            report.warn(f"Not using Mutagen: {exc.message}.")
    return _built_in(session, request, options, skips, place.with_name(f"{place.name}.manifest"), report)


def _mutagen(session: Session, request: Request) -> str:
    """Return the program when it is to be used; the built-in engine needs neither a key nor SSH."""
    if request.engine == "builtin":
        return ""
    program = find_mutagen(session.around.environ)
    if not program and request.engine == "mutagen":
        raise Usage("there is no mutagen on the PATH", hint="install it, or use --engine builtin")
    return program


def _built_in(session: Session, request: Request, options: Options, skips: Skips, path: Path, report: Report) -> int:
    if request.fresh:
        path.unlink(missing_ok=True)
    manifest = Manifest(path, {"sandbox": options.sandbox_id, "local": options.local, "remote": options.remote})
    with closing(_local_tree(options, skips)) as tree:
        tree.sweep()
        synchroniser = Synchroniser(options, skips, manifest, tree, _connector(session, options), report)
        try:
            report.say(f"Synchronising {options.local} with {options.remote} in {options.sandbox_id}")
            if request.once:
                return _finish_once(session, options, synchroniser.run_once())
            synchroniser.run()
        except KeyboardInterrupt:
            report.end()
            report.say("Stopped; start it again to go on.")
        finally:
            report.end()
            manifest.flush()
            manifest.compact()
    return 0


def _finish_once(session: Session, options: Options, outcome: Outcome) -> int:
    """Print the result and return 1 when something could not be synchronised."""
    done = not outcome.problems and not outcome.again
    document = {
        "sandbox_id": options.sandbox_id,
        "local": options.local,
        "remote": options.remote,
        "synchronised": done,
        "sent": outcome.sent,
        "sent_bytes": outcome.sent_bytes,
        "received": outcome.received,
        "received_bytes": outcome.received_bytes,
        "removed": outcome.removed,
        "renamed": outcome.renamed,
        "conflicts": [{"path": path, "copy": copy} for path, copy in outcome.conflicts.items()],
        "problems": _rows(outcome.problems),
        "skipped": _rows(outcome.remarks),
    }
    failed = f"{len(outcome.problems)} files could not be synchronised" if outcome.problems else "files keep changing"
    session.output.show(document, ["Both sides are the same." if done else f"Not everything was done: {failed}."])
    return 0 if done else 1


def _rows(problems: dict[tuple[Side, str], str]) -> list[dict[str, str]]:
    return [
        {"side": side.value, "path": path, "reason": why} for (side, path), why in sorted(problems.items(), key=str)
    ]


def _connector(session: Session, options: Options) -> Callable[[], Upgraded]:
    """Return what connects to the sandbox; a sandbox that will never run again is Stop."""
    path = f"/v1/sandboxes/{segment(options.sandbox_id)}"

    def connect() -> Upgraded:
        try:
            return session.client.upgrade(f"{path}/sync")
        except ApiFailure as exc:
            if exc.status == _CONFLICT and (status := session.client.get(path).get("status")) in _OVER:
                raise Stop(f"the sandbox is {status}", hint="createos sandbox list shows the others") from exc
            raise

    return connect


def _local_tree(options: Options, skips: Skips) -> LocalTree:
    try:
        return LocalTree(options.local, skips)
    except OSError as exc:
        raise CliError(f"{options.local} cannot be opened: {exc.strerror}", hint="check who owns it") from exc


def _report(session: Session, request: Request) -> Report:
    """Lines go to stdout, unless a JSON document is to come there."""
    around, output = session.around, session.output
    to_stderr = request.once and output.as_json
    say = output.remark if to_stderr else lambda line: output.lines([line])
    status = around.stdout_is_terminal and around.stderr_is_terminal
    return Report(output, say, status=status, quiet=request.quiet)
