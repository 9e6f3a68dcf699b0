"""What tcpdump sees on a link, and which of it must not be there."""

from __future__ import annotations

import select
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.host.forgeries import ALLOWED, ALLOWED_PORT, LIMITED, MARK, OTHER, SHARED

_GLOBAL, _RECORD = struct.Struct("=IHHiIII"), struct.Struct("=IIII")
_IPV4, _IPV6, _ARP = 0x0800, 0x86DD, 0x0806
_TCP, _UDP, _ICMPV6 = 6, 17, 58
_DISCOVERY = range(130, 144)


class Capture:
    """The frames that went one way on an interface, in their order."""

    def __init__(self, interface: str, path: Path, direction: str) -> None:
        self._path = path
        self._frames: list[bytes] = []
        argv = [
            "tcpdump",
            "-i",
            interface,
            "-Q",
            direction,
            "-Z",
            "root",
            "--immediate-mode",
            "-U",
            "-n",
            "-w",
            str(path),
        ]
        self._tcpdump = subprocess.Popen(argv, stderr=subprocess.PIPE)
        assert self._tcpdump.stderr
        said = b""
        while b"listening on" not in said:
            assert select.select([self._tcpdump.stderr], [], [], 60)[0], "tcpdump does not begin"
            line = self._tcpdump.stderr.readline()
            assert line, f"tcpdump ended: {said.decode()}"
            said += line

    def stop(self) -> None:
        """End tcpdump, which then has written everything."""
        self._tcpdump.send_signal(signal.SIGTERM)
        self._tcpdump.communicate(timeout=60)
        self._frames = list(_read(self._path.read_bytes()))

    def holds(self, text: bytes) -> bool:
        """Tell whether a frame that was written so far has the text."""
        return text in self._path.read_bytes()

    def forbidden(self, uplink_v4: str, resolver: str) -> list[str]:
        """Return, in words, each frame that a sandbox under the rules of `attempts` must not have caused."""
        return [said for frame in self._frames if (said := _judge(frame, uplink_v4, resolver))]

    def __len__(self) -> int:
        return len(self._frames)


@contextmanager
def capturing(interface: str, path: Path, direction: str = "in") -> Iterator[Capture]:
    """Capture what comes in (or goes out) on an interface of the namespace this thread is in."""
    capture = Capture(interface, path, direction)
    try:
        yield capture
    finally:
        capture.stop()


def _read(data: bytes) -> Iterator[bytes]:
    offset = _GLOBAL.size
    while offset + _RECORD.size <= len(data):
        _, _, kept, _ = _RECORD.unpack_from(data, offset)
        offset += _RECORD.size
        yield data[offset : offset + kept]
        offset += kept


def _judge(frame: bytes, uplink_v4: str, resolver: str) -> str:
    if MARK in frame:
        return f"sent by hand: {frame[frame.index(MARK) :][:60]!r}"
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == _ARP:
        return ""
    if kind == _IPV6:
        is_discovery = frame[20] == 0 or (frame[20] == _ICMPV6 and frame[54] in _DISCOVERY)
        return "" if is_discovery else f"IPv6 to {socket.inet_ntop(socket.AF_INET6, frame[38:54])}"
    if kind != _IPV4:
        return f"ethertype {kind:#x}"
    source, target = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
    (port,) = struct.unpack_from("!H", frame, 14 + 4 * (frame[14] & 15) + 2)
    allowed = {ALLOWED: None, SHARED: (80, 443), OTHER: (80, 443), LIMITED: (ALLOWED_PORT,), resolver: (53,)}
    ports = allowed.get(target, ())
    if source != uplink_v4 or (ports is not None and port not in ports):
        return f"{source} to {target}, protocol {frame[23]}, port {port}"
    return ""
