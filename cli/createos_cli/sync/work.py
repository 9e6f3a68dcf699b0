"""Doing what a plan says: the sandbox's part is sent ahead, ours follows, and every agreement is kept at once."""

from __future__ import annotations

from collections.abc import Callable

from createos_cli.sync.contents import Pair, agreement
from createos_cli.sync.conversation import Answer
from createos_cli.sync.entries import ABSENT, Agreed, Entry, Kind, Side, Version
from createos_cli.sync.failures import Code, Refused
from createos_cli.sync.local_tree import LocalTree, is_settled
from createos_cli.sync.manifest import Agreements
from createos_cli.sync.outcome import Outcome
from createos_cli.sync.plan import Action, Plan, Verb
from createos_cli.sync.remote_tree import Download, RemoteTree

Progress = Callable[[Outcome], None]


class Work:
    """One pass over a plan. A step that cannot be done is a problem of its path and stops nothing else."""

    def __init__(
        self, pair: Pair, manifest: Agreements, local: LocalTree, remote: RemoteTree, progress: Progress
    ) -> None:
        self._pair = pair
        self._manifest = manifest
        self._local = local
        self._remote = remote
        self._progress = progress
        self.outcome = Outcome()

    def run(self, plan: Plan) -> Outcome:
        """Do everything; what was agreed before the connection broke stays agreed."""
        for path, agreed in plan.agreements.items():
            self._keep(path, agreed)
        try:
            for action in plan.actions:
                if action.side is Side.REMOTE:
                    self._on_remote(action)
            self._remote.talk.settle()
            self._on_local([action for action in plan.actions if action.side is Side.LOCAL])
        finally:
            self._manifest.flush()
        self.outcome.remarks.update(plan.blocked)
        self.outcome.again |= bool(plan.conflicts)
        return self.outcome

    def _on_remote(self, action: Action) -> None:
        def then(answer: Answer) -> None:
            self._done(action, answer.refused or answer.entry)

        if action.verb is Verb.MKDIR:
            self._remote.mkdir(action.path, action.mode, then)
        elif action.verb is Verb.CHMOD:
            self._remote.chmod(action.path, action.expect, action.mode, then)
        elif action.verb is Verb.LINK:
            self._remote.symlink(action.path, action.source.target, action.expect, then)
        elif action.verb is Verb.REMOVE:
            self._remote.remove(action.path, action.expect, then)
        elif action.verb is Verb.RENAME:
            self._remote.rename(action.path, action.to, action.expect, then)
        else:
            self._send(action)

    def _send(self, action: Action) -> None:
        trusted = is_settled(action.source)

        def then(answer: Answer, digest: bytes) -> None:
            self._written(action, answer.refused or answer.entry, digest, trusted=trusted)

        try:
            with self._local.reading(action.path, action.source) as pieces:
                self._remote.write(action.path, pieces, action.mode, action.expect, then)
        except Refused as exc:
            self._failed(Side.LOCAL, action.path, exc)

    def _on_local(self, actions: list[Action]) -> None:
        downloads = self._remote.fetch([(each.path, each.source) for each in actions if each.verb is Verb.PUT])
        for action in actions:
            if action.verb is Verb.PUT:
                self._receive(action, next(downloads))
                continue
            try:
                now = self._change_local(action)
            except Refused as exc:
                self._done(action, exc)
            else:
                self._done(action, now)

    def _receive(self, action: Action, download: Download) -> None:
        size = action.source.version.size
        try:
            now, digest = self._local.write(action.path, download.pieces(), size, action.mode, action.expect)
        except Refused as exc:
            self._written(action, exc, b"", trusted=False)
        else:
            self._written(action, now, digest, trusted=download.settled)

    def _change_local(self, action: Action) -> Entry:
        local = self._local
        if action.verb is Verb.MKDIR:
            return local.mkdir(action.path, action.mode)
        if action.verb is Verb.CHMOD:
            return local.chmod(action.path, action.expect, action.mode)
        if action.verb is Verb.LINK:
            return local.symlink(action.path, action.source.target, action.expect)
        if action.verb is Verb.RENAME:
            return local.rename(action.path, action.to, action.expect)
        local.remove(action.path, action.expect)
        return ABSENT

    # What came of it

    def _written(self, action: Action, now: Entry | Refused, digest: bytes, *, trusted: bool) -> None:
        """Keep that both sides have the same file; the version of the source only when another write would show."""
        if isinstance(now, Refused):
            self._failed(action.side, action.path, now)
            return
        size = action.source.version.size
        source = action.source.version if trusted else None
        self._keep(action.path, _agreed_file(action.side, action.mode, size, digest, now.version, source))
        if action.side is Side.REMOTE:
            self.outcome.sent += 1
            self.outcome.sent_bytes += size
        else:
            self.outcome.received += 1
            self.outcome.received_bytes += size
        self._progress(self.outcome)

    def _done(self, action: Action, now: Entry | Refused) -> None:
        if isinstance(now, Refused):
            self._failed(action.side, action.path, now)
        elif action.verb is Verb.RENAME:
            self._renamed(action, now)
        elif action.verb is Verb.REMOVE:
            self._manifest.forget(action.path)
            self.outcome.removed += action.expect.kind is not Kind.DIRECTORY
        else:
            self._same(action, now)
        self._progress(self.outcome)

    def _renamed(self, action: Action, now: Entry) -> None:
        """A conflict copy is found by the next scan; a rename that follows the other side is agreed now."""
        agreed = self._manifest.get(action.path)
        if action.source.kind is Kind.ABSENT:
            self.outcome.conflicts[action.path] = action.to
            return
        self.outcome.renamed += 1
        self._manifest.forget(action.path)
        if agreed:
            source = None if (action.side.other, action.to) in self._pair.unsettled else action.source.version
            mode = now.mode
            self._keep(action.to, _agreed_file(action.side, mode, agreed.size, agreed.digest, now.version, source))
            self.outcome.again |= mode != action.mode

    def _same(self, action: Action, now: Entry) -> None:
        """A directory, a link or a mode is now the same on both sides."""
        if action.verb is Verb.CHMOD and now.kind is Kind.FILE:
            agreed = agreement(self._pair, action.path)._replace(mode=now.mode)
            if agreed.version(action.side):
                is_local = action.side is Side.LOCAL
                agreed = agreed._replace(local=now.version) if is_local else agreed._replace(remote=now.version)
            self._keep(action.path, agreed)
        else:
            self._keep(action.path, Agreed(now.kind, now.mode, target=now.target))
        self.outcome.other += 1

    def _failed(self, side: Side, path: str, why: Refused) -> None:
        if why.code is Code.CHANGED:
            self.outcome.again = True
        self.outcome.problems[side, path] = _words(why)

    def _keep(self, path: str, agreed: Agreed | None) -> None:
        if agreed is None:
            self._manifest.forget(path)
        else:
            self._manifest.agree(path, agreed)


def _agreed_file(side: Side, mode: int, size: int, digest: bytes, written: Version, source: Version | None) -> Agreed:
    local, remote = (written, source) if side is Side.LOCAL else (source, written)
    return Agreed(Kind.FILE, mode, size, digest, "", local, remote)


def _words(why: Refused) -> str:
    if why.code is Code.NOT_EMPTY:
        return "the directory was removed on the other side, but still holds something that is left out"
    return why.text
