"""Files of sandboxes: pushed and pulled whole (wire-api 10)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.files import FileReader, write_file
from createos_engine.errors import EngineError, GuestFailed, Invalid, NoSpace, NotFound, TooLarge
from createos_engine.services.guests import Guest, Guests
from createos_engine.words import User

_MIB = 2**20
_LONGEST_PATH_BYTES = 4095

_REFUSALS: dict[str, tuple[type[EngineError], str]] = {
    "not_found": (NotFound, "look with createos sandbox exec BOX -- ls -la"),
    "is_directory": (Invalid, "name a file, or pack the directory with tar"),
    "not_regular": (Invalid, "use createos sandbox exec for what is no plain file"),
    "bad_path": (Invalid, "name a file by its absolute path"),
    "denied": (Invalid, "that place cannot be written"),
    "no_space": (NoSpace, "free some space, or createos sandbox edit --disk-mib"),
    "cut": (Invalid, "send it again"),
    "changed": (GuestFailed, "try again when nobody writes to it"),
}


class Download:
    """A file on its way out: iterate over it, then `close()`. `size` is None for what has no size beforehand."""

    def __init__(self, guests: Guests, guest: Guest, reader: FileReader) -> None:
        self.size = reader.size
        self._reader = reader
        self._using = ExitStack()
        self._using.enter_context(guests.use(guest.sandbox.id))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the content; raises when not all of it came."""
        with _refusals():
            async for data in self._reader:
                yield data

    async def close(self) -> None:
        """Let go of the file; repeatable."""
        self._reader.close()
        self._using.close()


class Files:
    """Moves files; the guest agent reads and writes them as root."""

    def __init__(self, guests: Guests, *, limit_bytes: int) -> None:
        self._guests = guests
        self._limit = limit_bytes

    async def write(self, user: User, ref: str, path: str, size: int | None, source: AsyncIterator[bytes]) -> int:
        """Write *source* to *path* and return its size; *size* is what is announced, None when nobody knows.

        Raises TooLarge as soon as it is known, NoSpace, Invalid, NotFound; the old file stays then.
        """
        guest = self._guests.running(user, ref)
        check_path(path)
        if size is not None and size > self._limit:
            raise self._too_large()
        with self._guests.use(guest.sandbox.id), _refusals():
            return await write_file(guest.agent, path, size, self._bounded(source))

    async def read(self, user: User, ref: str, path: str) -> Download:
        """Open a file of the sandbox. Raises NotFound, Invalid."""
        guest = self._guests.running(user, ref)
        check_path(path)
        with _refusals():
            return Download(self._guests, guest, await FileReader.open(guest.agent, path))

    async def _bounded(self, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        seen = 0
        async for data in source:
            seen += len(data)
            if seen > self._limit:
                raise self._too_large()
            yield data

    def _too_large(self) -> TooLarge:
        return TooLarge(f"a file may have {self._limit} bytes ({self._limit // _MIB} MiB)", hint="send it in parts")


def check_path(path: str) -> None:
    """Raise Invalid for what is no absolute path of a file."""
    if not path.startswith("/"):
        raise Invalid("path must be absolute, like /root/file", field="path")
    if "\0" in path:
        raise Invalid("path has a NUL character, which no file name has", field="path")
    if len(path.encode(errors="replace")) > _LONGEST_PATH_BYTES:
        raise Invalid(f"path has more than {_LONGEST_PATH_BYTES} bytes", field="path")


@contextmanager
def _refusals() -> Iterator[None]:
    """Say in our words what the guest has refused."""
    try:
        yield
    except AgentError as exc:
        kind, hint = _REFUSALS.get(exc.code, (GuestFailed, ""))
        raise kind(exc.message, hint=hint) from exc
