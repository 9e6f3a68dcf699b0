"""The remote side: a directory in a sandbox, through its agent.

Nothing the guest says is believed beyond its own tree: names, counts, sizes and numbers are checked, and what does not
fit ends the synchronisation.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from createos_cli.sync import messages
from createos_cli.sync.confined import Judge, usable
from createos_cli.sync.conversation import Answer, Conversation
from createos_cli.sync.entries import ABSENT, MOST_ENTRIES, Entry, Kind, Tree, parent_of, path_is_clean
from createos_cli.sync.failures import Code, Refused, Stop
from createos_cli.sync.link import Link
from createos_cli.sync.messages import BODY_BYTES, Fields, Type, Use, garbage
from createos_cli.sync.skips import Skips

# What is asked for ahead of being written here.
AHEAD_BYTES, AHEAD_FILES = 4 * 1024 * 1024, 64
# All names of a tree together.
MOST_TEXT_BYTES = 128 * 1024 * 1024
_DIGEST_BYTES = 32
_OTHER = "neither a file, a directory nor a link, on another file system, or not readable"

Then = Callable[[Answer], None]


class RemoteTree:
    """One directory in a sandbox over one connection."""

    def __init__(self, link: Link, skips: Skips, judge: Judge = usable) -> None:
        self.talk = Conversation(link, self._entry)
        self.unwatched = False
        self._skips = skips
        self._judge = judge
        self._tree: Tree = {}
        self._text_bytes = 0
        self._directory_went = False

    @property
    def changed(self) -> bool:
        """Whether the guest has told of a change since the last scan."""
        return self.talk.changed

    def close(self) -> None:
        """Hang up."""
        self.talk.link.close()

    def start(self, root: str, *, create: bool, user: str, use: Use = Use.SYNC) -> str:
        """Open the directory and return its real path. Raises Refused with the guest's reason."""
        link = self.talk.link
        link.send(messages.start(root, create=create, user=user, skip=self._skips.patterns, use=use))
        link.flush()
        kind, payload = link.receive()
        fields = Fields(payload)
        if kind == Type.FAILED:
            fields.number()
            code = fields.code()
            raise Refused(Code(code) if code in frozenset(Code) else Code.OTHER, fields.text())
        if kind != Type.HELLO or fields.code() != messages.FORMAT:
            raise Stop(
                "the sandbox's agent speaks another version of the protocol", hint="pause and resume it, or fork it"
            )
        return fields.text()

    def scan(self, *, full: bool) -> Tree:
        """Return everything that is there. Raises Stop when the root is gone or what comes is no tree."""
        answers: list[Answer] = []
        self.talk.changed = self._directory_went = False
        waiting = self.talk.expect(answers.append)
        self.talk.link.send(messages.numbered(Type.SCAN, waiting.number, bytes([full])))
        self.talk.settle()
        if refused := answers[0].refused:
            raise Stop(f"the directory in the sandbox cannot be read: {refused.text}", hint="nothing was removed here")
        self.unwatched = answers[0].flag
        if self._directory_went:
            self._drop_orphans()
        return self._tree

    def digests(self, wanted: Sequence[tuple[str, Entry]], each: Callable[[str, Answer], None]) -> None:
        """Have files read; *each* gets the path and an answer with the digest."""
        for path, entry in wanted:
            waiting = self.talk.expect(lambda answer, path=path: each(path, _checked(answer)))  # type: ignore[misc]
            self.talk.link.send(messages.request(Type.HASH, waiting.number, entry, path))
            self.talk.keep_up()
        self.talk.settle()

    def mkdir(self, path: str, mode: int, then: Then) -> None:
        """Make a directory."""
        self._ask(Type.MKDIR, Entry(Kind.DIRECTORY), then, path, mode=mode)

    def chmod(self, path: str, expect: Entry, mode: int, then: Then) -> None:
        """Change a mode."""
        self._ask(Type.CHMOD, expect, then, path, mode=mode)

    def symlink(self, path: str, target: str, expect: Entry, then: Then) -> None:
        """Make a link, in place of what is expected there."""
        self._ask(Type.SYMLINK, expect, then, path, target)

    def remove(self, path: str, expect: Entry, then: Then) -> None:
        """Remove a file, a link or an empty directory."""
        self._ask(Type.REMOVE, expect, then, path)

    def rename(self, path: str, to: str, expect: Entry, then: Then) -> None:
        """Give something a name that nothing has."""
        self._ask(Type.RENAME, expect, then, path, to)

    def write(
        self,
        path: str,
        pieces: Iterable[bytes],
        mode: int,
        expect: Entry,
        then: Callable[[Answer, bytes], None],
    ) -> None:
        """Send a file in place of what is expected there; *then* also gets the digest of what was sent.

        A source that raises Refused leaves the place as it was; the reason goes to *then*.
        """
        digest, size = hashlib.sha256(), 0
        source: list[Refused] = []
        waiting = self.talk.expect(
            lambda answer: then(Answer(refused=source[0]) if source else answer, digest.digest())
        )
        link = self.talk.link
        link.send(messages.request(Type.PUT, waiting.number, expect, path, mode=mode))
        try:
            for piece in pieces:
                if waiting.answered:
                    return
                digest.update(piece)
                size += len(piece)
                for at in range(0, len(piece), BODY_BYTES):
                    link.send(messages.numbered(Type.BODY, waiting.number, piece[at : at + BODY_BYTES]))
                self.talk.poll()
        except Refused as exc:
            source.append(exc)
            link.send(messages.numbered(Type.ABORT, waiting.number))
        else:
            link.send(messages.commit(waiting.number, size))
        self.talk.keep_up()

    def fetch(self, wanted: Sequence[tuple[str, Entry]]) -> Iterator[Download]:
        """Yield the files in their order, asked for ahead; what is not read of one is dropped."""
        queue, ahead = deque(wanted), deque[Download]()
        while queue or ahead:
            while queue and _has_room(ahead):
                path, entry = queue.popleft()
                ahead.append(download := Download(self.talk, path, entry))
                self.talk.link.send(messages.request(Type.GET, download.waiting.number, entry, path))
            download = ahead.popleft()
            yield download
            download.drain()

    def _ask(self, kind: Type, expect: Entry, then: Then, *texts: str, mode: int | None = None) -> None:
        waiting = self.talk.expect(then)
        self.talk.link.send(messages.request(kind, waiting.number, expect, *texts, mode=mode))
        self.talk.keep_up()

    def _entry(self, fields: Fields) -> None:
        entry, _ = fields.entry()
        path, target = fields.text(), fields.text()
        parent = parent_of(path)
        if not path_is_clean(path) or (parent and self._tree.get(parent, ABSENT).kind is not Kind.DIRECTORY):
            raise garbage(f"a name that cannot be: {path!r}"[:200])
        if self._skips.match(path, directory=entry.kind is Kind.DIRECTORY):
            return
        before = self._tree.pop(path, None)
        self._directory_went |= before is not None and before.kind is Kind.DIRECTORY is not entry.kind
        self._text_bytes -= len(path) + len(before.target) if before else 0
        if entry.kind is not Kind.ABSENT:
            why = _OTHER if entry.kind is Kind.OTHER else ""
            self._tree[path] = found = self._judge(path, entry._replace(target=target, why=why))
            self._text_bytes += len(path) + len(found.target)
        if len(self._tree) > MOST_ENTRIES or self._text_bytes > MOST_TEXT_BYTES:
            raise Stop("the directory in the sandbox is too large to synchronise", hint="leave some out: --exclude")

    def _drop_orphans(self) -> None:
        for path in sorted(self._tree):
            parent = parent_of(path)
            if parent and self._tree.get(parent, ABSENT).kind is not Kind.DIRECTORY:
                del self._tree[path]


class Download:
    """A file on its way here."""

    def __init__(self, talk: Conversation, path: str, entry: Entry) -> None:
        self.path = path
        self.entry = entry
        self.settled = False
        self.waiting = talk.expect(self._end, self._data)
        self._talk = talk
        self._pieces: deque[bytes] = deque()
        self._refused: Refused | None = None
        self._left = entry.version.size

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes as they come. Raises Refused when the file has changed in the sandbox."""
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if self.waiting.answered:
                break
            self._talk.step()
        if self._refused:
            raise self._refused

    def drain(self) -> None:
        """Drop what still comes."""
        while not self.waiting.answered:
            self._pieces.clear()
            self._talk.step()

    def _data(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0 or not data:
            raise garbage(f"more of {self.path!r} than there is")
        self._pieces.append(data)

    def _end(self, answer: Answer) -> None:
        if self._left and not answer.refused:
            raise garbage(f"less of {self.path!r} than there is")
        self._refused = answer.refused
        self.settled = not answer.flag


def _has_room(ahead: Iterable[Download]) -> bool:
    sizes = [download.entry.version.size for download in ahead]
    return len(sizes) < AHEAD_FILES and sum(sizes) < AHEAD_BYTES


def _checked(answer: Answer) -> Answer:
    if not answer.refused and len(answer.digest) != _DIGEST_BYTES:
        raise garbage("a digest that is none")
    return answer
