"""A guest agent on a unix socket that does what a test tells it, honest or not.

It reads and writes the protocol with its own few lines, so that it does not share a mistake with the engine.
`complaints` collects what the host did wrong.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

RESET, READY, OPEN, DATA, EOF, CREDIT, EXIT, ERROR, CANCEL = 1, 2, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16
WINDOW, PIECE, CONTROL = 262_144, 32_768, 3
RESET_HEAD = bytes.fromhex("c05b 01 00 00000000 00000020") + b"createos-reset-1"
HELLO: dict[str, object] = {
    "version": 1,
    "agent": "fake",
    "capabilities": ["exec"],
    "boot": {"state": "ready", "reason": ""},
    "boot_ms": 1234,
}


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """Return the bytes of one frame, valid or not."""
    return struct.pack(">HBBII", 0xC05B, kind, flags, stream, len(payload)) + payload


def as_json(value: object) -> bytes:
    """Return the JSON of a payload."""
    return json.dumps(value).encode()


def parse(text: bytes) -> dict[str, object]:
    """Return a request; one that is cut has no kind."""
    try:
        return dict(json.loads(text))
    except ValueError:
        return {}


class Refused(Exception):
    """Raised by a script: the stream ends with ERROR."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class GuestStream:
    """The guest's end of one stream."""

    def __init__(self, link: Link, number: int) -> None:
        self.link, self.number = link, number
        self.request: dict[str, object] = {}
        self.opening = b""
        self.cancelled = asyncio.Event()
        self.input: asyncio.Queue[bytes] = asyncio.Queue()
        self.control: list[dict[str, object]] = []
        self.sendable, self.receivable = WINDOW, WINDOW
        self.granted = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def write(self, data: bytes, sub: int = 1) -> None:
        """Send output within the credit."""
        while data:
            while not self.sendable and not self.cancelled.is_set():
                self.granted.clear()
                await self.granted.wait()
            if self.cancelled.is_set() and not self.sendable:
                return
            size = min(len(data), self.sendable, PIECE)
            self.sendable -= size
            await self.link.send(frame(DATA, self.number, data[:size], sub))
            data = data[size:]

    async def read(self) -> bytes:
        """Return some input and credit it; empty at its end."""
        data = await self.input.get()
        if data:
            self.receivable += len(data)
            await self.link.send(frame(CREDIT, self.number, struct.pack(">I", len(data))))
        return data

    async def raw(self, kind: int, payload: bytes = b"", flags: int = 0) -> None:
        """Send any frame on this stream."""
        await self.link.send(frame(kind, self.number, payload, flags))


Script = Callable[[GuestStream], Awaitable[dict[str, object] | None]]


class Link:
    """One connection of a host."""

    def __init__(self, guest: FakeGuest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.guest, self.reader, self.writer = guest, reader, writer
        self.buffer = b""
        self.nonce = b""
        self.resets = 0
        self.last = 0
        self.streams: dict[int, GuestStream] = {}

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def serve(self) -> None:
        with suppress(ConnectionError):
            await self.send(self.guest.stale)
            while chunk := await self.reader.read(65_536):
                self.buffer += chunk
                while (found := self.next_frame()) is not None:
                    await self.take(*found)
        self.forget()
        self.writer.close()

    def next_frame(self) -> tuple[int, int, int, bytes] | None:
        """Return (type, flags, stream, payload), hunting for RESET over anything that is no frame."""
        if self.buffer and not self.buffer.startswith(b"\xc0\x5b"[: len(self.buffer)]):
            found = self.buffer.find(RESET_HEAD)
            self.buffer = self.buffer[found:] if found >= 0 else self.buffer[-len(RESET_HEAD) + 1 :]
            if found < 0:
                return None
        if len(self.buffer) < 12:
            return None
        _, kind, flags, stream, length = struct.unpack_from(">HBBII", self.buffer)
        if len(self.buffer) < 12 + length:
            return None
        payload, self.buffer = self.buffer[12 : 12 + length], self.buffer[12 + length :]
        return kind, flags, stream, payload

    async def take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == RESET:
            await self.reset(payload[16:])
        elif kind == OPEN:
            self.open(number, flags, payload)
        elif number in self.streams:
            self.pass_on(self.streams[number], kind, payload, flags)
        elif number > self.last or number == 0:
            self.guest.complaints.append(f"frame {kind:#x} for stream {number} that was never opened")

    async def reset(self, nonce: bytes) -> None:
        self.resets += 1
        self.guest.resets += 1
        if self.guest.resets <= self.guest.deaf_resets:
            return
        if nonce != self.nonce:
            self.forget()
            self.nonce, self.last = nonce, 0
        await self.send(
            self.guest.before_ready + frame(READY, 0, b"createos-ready-1" + nonce + as_json(self.guest.hello))
        )
        if self.guest.after_ready:
            await self.guest.after_ready(self)

    def open(self, number: int, flags: int, payload: bytes) -> None:
        if number not in self.streams:
            if number <= self.last:
                self.guest.complaints.append(f"stream {number} was opened after {self.last}")
            self.last = number
            self.streams[number] = GuestStream(self, number)
        stream = self.streams[number]
        stream.opening += payload
        if not flags & 1:
            stream.request = parse(stream.opening)
            self.guest.requests.append(stream.request)
            stream.task = asyncio.create_task(self.run(stream))

    def pass_on(self, stream: GuestStream, kind: int, payload: bytes, flags: int) -> None:
        if kind == DATA and flags == CONTROL:
            stream.control.append(parse(payload))
        elif kind == DATA:
            stream.receivable -= len(payload)
            if stream.receivable < 0 or not payload:
                self.guest.complaints.append(f"stream {stream.number} got DATA beyond its credit, or empty")
            stream.input.put_nowait(payload)
        elif kind == EOF:
            stream.input.put_nowait(b"")
        elif kind == CREDIT:
            stream.sendable += struct.unpack(">I", payload)[0]
            stream.granted.set()
        elif kind == CANCEL:
            stream.cancelled.set()
            stream.granted.set()

    async def run(self, stream: GuestStream) -> None:
        script = self.guest.scripts.get(str(stream.request.get("kind")), unknown_kind)
        try:
            result = await script(stream)
        except Refused as exc:
            self.streams.pop(stream.number, None)
            await stream.raw(ERROR, as_json({"code": exc.code, "message": exc.message}))
        except ConnectionError:
            pass
        else:
            if result is not None:
                self.streams.pop(stream.number, None)
                with suppress(ConnectionError):
                    await stream.raw(EXIT, as_json(result))

    def forget(self) -> None:
        for stream in self.streams.values():
            if stream.task:
                stream.task.cancel()
        self.streams = {}


class FakeGuest:
    """Listens on *path* from `start()` (or `async with`) on. `scripts` say what each kind of request does.

    A script that returns None leaves the stream open. `stale` is sent to every host at once, `before_ready` just before
    READY; the first `deaf_resets` RESETs are not heard. `after_ready` may write what it likes.
    """

    def __init__(self, path: Path, *, stale: bytes = b"", before_ready: bytes = b"", deaf_resets: int = 0) -> None:
        self.path = path
        self.stale, self.before_ready, self.deaf_resets = stale, before_ready, deaf_resets
        self.hello: object = HELLO
        self.after_ready: Callable[[Link], Awaitable[None]] | None = None
        self.scripts: dict[str, Script] = {"ping": pong, "exec": run_program}
        self.requests: list[dict[str, object]] = []
        self.complaints: list[str] = []
        self.resets = 0
        self.links: list[Link] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))

    async def stop(self) -> None:
        """Close everything, as QEMU does when the machine ends."""
        if self._server:
            self._server.close()
        for link in self.links:
            link.forget()
            link.writer.transport.abort()
        await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool], deadline_s: float = 5) -> None:
        """Wait for something to become true, or raise TimeoutError."""
        async with asyncio.timeout(deadline_s):
            while not condition():
                await asyncio.sleep(0.002)

    async def __aenter__(self) -> FakeGuest:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(self, reader, writer)
        self.links.append(link)
        await link.serve()


async def unknown_kind(stream: GuestStream) -> dict[str, object]:
    raise Refused("bad_request", f"unknown kind {stream.request.get('kind')}")


async def pong(stream: GuestStream) -> dict[str, object]:
    return {}


async def run_program(stream: GuestStream) -> dict[str, object]:
    """Run one of a few programs: true, false, cat, echo WORDS…, flood BYTES, hang, killed."""
    argv = [str(word) for word in stream.request["argv"]]  # type: ignore[attr-defined]
    code, signal = 0, None
    if argv[0] == "cat" and stream.request["stdin"]:
        while data := await stream.read():
            await stream.write(data)
    elif argv[0] == "echo":
        await stream.write(" ".join(argv[1:]).encode() + b"\n")
    elif argv[0] == "flood":
        await flood(stream, int(argv[1]))
    elif argv[0] == "false":
        await stream.write(b"no\n", sub=2)
        code = 1
    elif argv[0] == "hang":
        await stream.cancelled.wait()
        code, signal = 137, "SIGKILL"
    elif argv[0] not in {"true", "cat"}:
        raise Refused("not_found", "no such program")
    for sub in (1, 2):
        await stream.raw(EOF, flags=sub)
    return {"exit_code": code, "elapsed_ms": 0.5, **({"signal": signal} if signal else {})}


async def flood(stream: GuestStream, size: int) -> None:
    """Write *size* bytes to stdout until cancelled."""
    piece = bytes(65_536)
    while size > 0 and not stream.cancelled.is_set():
        await stream.write(piece[:size])
        size -= len(piece)
