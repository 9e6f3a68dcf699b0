"""One pass: look at both sides, read what must be read, plan, refuse what is suspicious, do it."""

from __future__ import annotations

import time
from collections.abc import Callable

from createos_cli.sync.contents import Pair, to_read
from createos_cli.sync.conversation import Answer
from createos_cli.sync.entries import Entry, Kind, Side
from createos_cli.sync.failures import Code, Refused, Stop
from createos_cli.sync.local_tree import LocalTree, is_settled
from createos_cli.sync.manifest import Manifest
from createos_cli.sync.moves import too_many_removals, with_renames
from createos_cli.sync.options import Options
from createos_cli.sync.outcome import Outcome
from createos_cli.sync.plan import Plan, make_plan
from createos_cli.sync.remote_tree import RemoteTree
from createos_cli.sync.work import Progress, Work

RESTLESS = "it changes while it is read"


class Passes:
    """Passes over one pair on one connection."""

    def __init__(
        self,
        options: Options,
        manifest: Manifest,
        local: LocalTree,
        remote: RemoteTree,
        progress: Progress,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._manifest = manifest
        self._local = local
        self.remote = remote
        self._progress = progress
        self._clock = clock
        self.files = 0

    def run(self, *, full: bool) -> Outcome:
        """Bring both sides together once. Raises Stop, Disconnected."""
        remote = dict(self.remote.scan(full=full))
        pair = Pair(self._manifest, self._local.scan(), remote)
        restless = self._read(pair)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self._clock()))
        plan = with_renames(make_plan(pair, self._options.mode, stamp), pair)
        self._require_sane(plan, pair)
        self.files = sum(1 for entry in pair.local.values() if entry.kind is Kind.FILE)
        outcome = Work(pair, self._manifest, self._local, self.remote, self._progress).run(plan)
        outcome.again |= restless
        return outcome

    def _read(self, pair: Pair) -> bool:
        """Get the digests that decide something; say whether a file would not hold still."""
        wanted = to_read(pair)
        restless = [self._read_local(pair, path) for side, path in wanted if side is Side.LOCAL]
        remote = [(path, pair.remote[path]) for side, path in sorted(wanted, key=str) if side is Side.REMOTE]

        def each(path: str, answer: Answer) -> None:
            if answer.refused:
                restless.append(self._give_up(pair, Side.REMOTE, path, answer.refused))
            else:
                self._keep(pair, Side.REMOTE, path, answer.digest, settled=not answer.flag)

        self.remote.digests(remote, each)
        return any(restless)

    def _read_local(self, pair: Pair, path: str) -> bool:
        entry = pair.local[path]
        settled = is_settled(entry)
        try:
            self._keep(pair, Side.LOCAL, path, self._local.digest(path, entry), settled=settled)
        except Refused as exc:
            return self._give_up(pair, Side.LOCAL, path, exc)
        return False

    def _keep(self, pair: Pair, side: Side, path: str, digest: bytes, *, settled: bool) -> None:
        pair.digests[side, path, pair.entry(side, path).version] = digest
        if not settled:
            pair.unsettled.add((side, path))

    def _give_up(self, pair: Pair, side: Side, path: str, why: Refused) -> bool:
        """Leave a file alone in this pass; say whether another pass may help soon."""
        restless = why.code is Code.CHANGED
        pair.tree(side)[path] = Entry(Kind.OTHER, why=RESTLESS if restless else f"it cannot be read: {why.text}")
        return restless

    def _require_sane(self, plan: Plan, pair: Pair) -> None:
        found = None if self._options.allow_mass_delete else too_many_removals(plan, pair)
        if not found:
            return
        side, lost, had = found
        here, there = ("in the sandbox", "here") if side is Side.LOCAL else ("here", "in the sandbox")
        raise Stop(
            f"{lost} of {had} files are gone {here}; they were not removed {there}",
            hint="put them back, or start again: --fresh brings them back, --allow-mass-delete removes them",
        )
