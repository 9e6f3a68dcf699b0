"""A synchronisation from its start to its end: connect, pass after pass, wait for changes, connect again."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from createos_cli.errors import ApiFailure, Unreachable
from createos_cli.sync.compare import Passes
from createos_cli.sync.failures import Code, Disconnected, Refused, Stop
from createos_cli.sync.link import Link
from createos_cli.sync.local_tree import LocalTree
from createos_cli.sync.manifest import Manifest
from createos_cli.sync.options import Options
from createos_cli.sync.outcome import Outcome
from createos_cli.sync.remote_tree import RemoteTree
from createos_cli.sync.report import Report
from createos_cli.sync.skips import Skips
from createos_cli.sync.watch import LocalWatch
from createos_cli.wire import Upgraded

# Everything is read again so often, whatever was or was not told: events get lost, and writes through mmap make none.
FULL_EVERY_S = 60.0
UNWATCHED_EVERY_S = 3.0
PROBLEMS_EVERY_S = 15.0
_AGAIN_FIRST_S, _AGAIN_MOST_S = 0.1, 5.0
_BACK_OFF_FIRST_S, _BACK_OFF_MOST_S = 0.25, 8.0
# How long `--once` bears to be without a connection, and how often it looks again.
ONCE_PATIENCE_S = 60.0
ONCE_PASSES = 20

Connect = Callable[[], Upgraded]


class Synchroniser:
    """One pair of directories. *connect* raises Unreachable or ApiFailure when the sandbox cannot be had just now."""

    def __init__(
        self, options: Options, skips: Skips, manifest: Manifest, local: LocalTree, connect: Connect, report: Report
    ) -> None:
        self._options = options
        self._skips = skips
        self._manifest = manifest
        self._local = local
        self._connect = connect
        self._report = report
        self._was_connected = False
        self._watch: LocalWatch | None = None
        self._again = 0

    def run_once(self) -> Outcome:
        """Go on until both sides agree or cannot, then return what was done."""
        total = Outcome()
        begun = time.monotonic()
        while True:
            try:
                with self._connected() as passes:
                    for _ in range(ONCE_PASSES):
                        outcome = self._pass(passes, full=True)
                        total.add(outcome)
                        if not outcome.again:
                            return total
                        time.sleep(self._pause(outcome))
                    return total
            except Disconnected as exc:
                if time.monotonic() - begun > ONCE_PATIENCE_S:
                    raise Stop(f"the connection to the sandbox is gone: {exc}", hint="start again; it goes on") from exc
                self._report.lost(str(exc), _BACK_OFF_FIRST_S)
                time.sleep(_BACK_OFF_FIRST_S)

    def run(self) -> None:
        """Go on for ever; KeyboardInterrupt is the way out."""
        wait_s = _BACK_OFF_FIRST_S
        with closing(LocalWatch(self._options.local, self._skips)) as self._watch:
            while True:
                try:
                    with self._connected() as passes:
                        wait_s = _BACK_OFF_FIRST_S
                        self._serve(passes)
                except Disconnected as exc:
                    self._report.lost(str(exc), wait_s)
                    time.sleep(wait_s)
                    wait_s = min(2 * wait_s, _BACK_OFF_MOST_S)

    def _serve(self, passes: Passes) -> None:
        full, last_full_s = True, time.monotonic()
        while True:
            if self._watch:
                self._watch.drain()
            outcome = self._pass(passes, full=full)
            last_full_s = time.monotonic() if full else last_full_s
            self._wait(passes.remote, self._pause(outcome, passes.remote, last_full_s))
            full = time.monotonic() - last_full_s >= FULL_EVERY_S

    def _pass(self, passes: Passes, *, full: bool) -> Outcome:
        begun = time.monotonic()
        outcome = passes.run(full=full)
        self._report.passed(outcome, passes.files, time.monotonic() - begun)
        self._again = self._again + 1 if outcome.again and not outcome.conflicts else 0
        return outcome

    def _pause(self, outcome: Outcome, remote: RemoteTree | None = None, last_full_s: float = 0.0) -> float:
        """Return for how long to wait for changes before looking again."""
        if outcome.again:
            return min(_AGAIN_FIRST_S * 2**self._again, _AGAIN_MOST_S) if self._again else 0.0
        if (remote and remote.unwatched) or not (self._watch and self._watch.works):
            return UNWATCHED_EVERY_S
        left_s = max(0.0, last_full_s + FULL_EVERY_S - time.monotonic())
        return min(left_s, PROBLEMS_EVERY_S) if outcome.problems else left_s

    def _wait(self, remote: RemoteTree, wait_s: float) -> None:
        """Return when either side has changed, or after *wait_s*."""
        end_s = time.monotonic() + wait_s
        link = remote.talk.link
        watch: list[Link | LocalWatch] = [self._watch] if self._watch else []
        while not remote.changed and (left_s := end_s - time.monotonic()) > 0:
            if not link.is_ready():
                readable, _, _ = select.select([link, *watch], [], [], left_s)
                if self._watch in readable:
                    return
            remote.talk.poll()

    @contextmanager
    def _connected(self) -> Iterator[Passes]:
        try:
            upgraded = self._connect()
        except Unreachable as exc:
            raise (Disconnected(exc.message) if self._was_connected else exc) from exc
        except ApiFailure as exc:
            raise (Disconnected(exc.message) if self._was_connected and _may_pass(exc) else exc) from exc
        remote = RemoteTree(Link(upgraded), self._skips)
        with closing(remote):
            self._start(remote)
            self._was_connected = True
            yield Passes(self._options, self._manifest, self._local, remote, self._report.progress)

    def _start(self, remote: RemoteTree) -> None:
        """Open the directory in the sandbox. One that was there before is not made again: it has vanished."""
        create = not self._manifest or self._options.allow_mass_delete
        try:
            remote.start(self._options.remote, create=create, user=self._options.user)
        except Refused as exc:
            if exc.code is Code.CHANGED and not create:
                raise Stop(
                    f"the directory {self._options.remote} is gone in the sandbox; nothing was removed here",
                    hint="put it back, start again with --fresh to fill it, or --allow-mass-delete to empty this side",
                ) from exc
            raise Stop(
                f"{self._options.remote} cannot be synchronised: {exc.text}", hint="choose another --remote"
            ) from exc


def _may_pass(exc: ApiFailure) -> bool:
    """Say whether the daemon may answer otherwise in a moment: it restarts, the sandbox is paused."""
    return exc.status in (409, 429) or exc.status >= 500
