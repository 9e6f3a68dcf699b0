"""S3 disks that a guest has mounted (PROTOCOL.md, `mount`)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.answers import printable
from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.head import read_head
from createos_engine.drivers.channel.stream import Stream
from createos_engine.errors import GuestFailed

CAPABILITY = "mounts"
MOUNT_DEADLINE_S = 30.0
"""The agent gives up after 5 s without the tools disk and 15 s without the bucket."""

_LIST_DEADLINE_S = 5.0
# What the agent may take beyond the deadline of an unmount, and as much again for the way.
_GRACE_S = 4.0
_MAX_MOUNTS = 64
_ERROR_CHARACTERS = 300
_ID_CHARACTERS = 64
_PATH_CHARACTERS = 4096


@dataclass(frozen=True)
class Wanted:
    """What to mount and where. Without a `url` the guest's s3fs asks the host, through `accept`, and gets no keys."""

    id: str
    path: str
    bucket: str
    prefix: str = ""
    url: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    region: str = ""
    path_style: bool = True
    authorities: str = field(default="", repr=False)
    """Whom the guest trusts at an `https` url, as PEM; empty for the authorities of its tools disk."""

    def request(self) -> dict[str, object]:
        """Return it as the protocol wants it."""
        return {
            "id": self.id,
            "path": self.path,
            "bucket": self.bucket,
            "prefix": self.prefix,
            "url": self.url,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "region": self.region,
            "path_style": self.path_style,
            "authorities": self.authorities,
        }


@dataclass(frozen=True)
class GuestMount:
    """A mount by the guest's own word; `error` is why it has ended."""

    id: str
    path: str
    mounted: bool
    error: str = ""


class How(StrEnum):
    """How a mount went away."""

    CLEAN = "clean"
    LAZY = "lazy"
    KILLED = "killed"
    GONE = "gone"


@dataclass(frozen=True)
class Held:
    """What became of the mounts of a guest that is about to be saved: ids, and for those that failed the reason."""

    unmounted: tuple[str, ...]
    kept: tuple[str, ...]
    failed: dict[str, str]


class GuestMounts:
    """The mounts of one guest. Every failure is a GuestFailed that says in a sentence what it was."""

    def __init__(self, agent: AgentClient) -> None:
        self._agent = agent

    async def mount(self, wanted: Wanted, *, deadline_s: float = MOUNT_DEADLINE_S) -> None:
        """Mount and return when the directory can be read; repeatable.

        Somebody must take the connections of a mount without `url` meanwhile. GuestFailed with the last words of s3fs;
        its context has the `code` of PROTOCOL.md.
        """
        await self._ask("mount", f"mount {wanted.path}", wanted.request(), deadline_s)

    async def accept(self, mount_id: str) -> Stream:
        """Wait for a connection of a mount's s3fs and return it: a stream like that of `dial`, for bytes both ways.

        Waits without end; whoever no longer wants it cancels. Raises AgentError (`no_mount`), GuestFailed.
        """
        stream = await self._agent.open("accept", id=mount_id)
        try:
            await read_head(stream, "accept")
        except BaseException:
            stream.cancel()
            raise
        stream.widen()
        return stream

    async def list(self, *, deadline_s: float = _LIST_DEADLINE_S) -> tuple[GuestMount, ...]:
        """Return the mounts that the guest knows of, ended ones included."""
        said = await self._ask("mounts", "say what is mounted", {}, deadline_s)
        return tuple(_mount(one) for one in _objects(said, "mounts"))

    async def unmount(self, mount_id: str, *, force: bool, deadline_s: float) -> How:
        """Unmount. With *force* it is gone some seconds after the deadline, whatever uses it; GuestFailed otherwise."""
        body: dict[str, object] = {"id": mount_id, "force": force, "deadline_ms": _ms(deadline_s)}
        said = await self._ask("unmount", "unmount a disk", body, deadline_s + _GRACE_S)
        try:
            return How(printable(said.get("how")))
        except ValueError as exc:
            raise GuestFailed("the guest agent does not say how a disk was unmounted") from exc

    async def hold(self, *, deadline_s: float) -> Held:
        """Have everything written out before the guest is saved; mounts that nobody uses are gone afterwards."""
        said = await self._ask("hold", "write out its disks", {"deadline_ms": _ms(deadline_s)}, deadline_s + _GRACE_S)
        failed = {_id(one): printable(one.get("error"), _ERROR_CHARACTERS) for one in _objects(said, "failed")}
        return Held(_ids(said, "unmounted"), _ids(said, "kept"), failed)

    async def _ask(self, kind: str, doing: str, body: dict[str, object], deadline_s: float) -> dict[str, object]:
        try:
            async with asyncio.timeout(deadline_s):
                stream = await self._agent.open(kind, **body)
                try:
                    return await stream.result()
                finally:
                    stream.cancel()
        except TimeoutError as exc:
            raise GuestFailed(f"the guest did not {doing} within {deadline_s:g} s", code="timeout") from exc
        except AgentError as exc:
            reason = printable(exc.message, _ERROR_CHARACTERS)
            raise GuestFailed(f"the guest could not {doing}: {reason}", code=exc.code) from exc


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _mount(said: dict[str, object]) -> GuestMount:
    path = printable(said.get("path"), _PATH_CHARACTERS)
    error = printable(said.get("error"), _ERROR_CHARACTERS)
    return GuestMount(_id(said), path, said.get("state") == "mounted", error)


def _id(said: dict[str, object]) -> str:
    return printable(said.get("id"), _ID_CHARACTERS)


def _list(said: dict[str, object], key: str) -> list[object]:
    found = said.get(key)
    if not isinstance(found, list) or len(found) > _MAX_MOUNTS:
        raise GuestFailed(f"the guest agent's answer has no valid {key}")
    return found


def _objects(said: dict[str, object], key: str) -> list[dict[str, object]]:
    return [one for one in _list(said, key) if isinstance(one, dict)]


def _ids(said: dict[str, object], key: str) -> tuple[str, ...]:
    return tuple(printable(one, _ID_CHARACTERS) for one in _list(said, key) if isinstance(one, str))
