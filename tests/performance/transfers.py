"""Bytes in and out of a guest, beside what its channel can do with nothing on the host but a socket, and beside scp."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from createos_cli.client import Client
from createos_cli.profile import local_endpoint
from createos_cli.transport import open_transport

from tests.performance.bench import Bench, Figure, timed
from tests.performance.openssh import Sshd, started
from tests.performance.rawchannel import RawChannel
from tests.vm.engine import Box, LiveEngine, wait_for

MIB = 2**20
SIZE_BYTES = 32 * MIB
_PIECE_BYTES = 262_144
_REMOTE = "/root/bench"
_SINK, _SOURCE = 9001, 9002
# The two ends of a tunnel in the guest: what is sent to the first is dropped and then said so, the second sends.
_ENDS = f"""
import socket, threading
def sink(link):
    buffer = bytearray({MIB})
    while link.recv_into(buffer):
        pass
    link.sendall(b"k")
def source(link):
    piece = bytes({MIB})
    for _ in range({SIZE_BYTES // MIB}):
        link.sendall(piece)
def serve(port, talk):
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        link, _ = listener.accept()
        with link:
            talk(link)
threading.Thread(target=serve, args=({_SINK}, sink)).start()
serve({_SOURCE}, source)
"""
# A program of the guest that reads as much from the second, and says how many milliseconds it took.
_LOOPBACK = f"""
import socket, time
buffer, begun = bytearray({MIB}), time.monotonic()
with socket.create_connection(("127.0.0.1", {_SOURCE})) as link:
    while link.recv_into(buffer):
        pass
print((time.monotonic() - begun) * 1000)
"""


def measure(bench: Bench) -> list[Figure]:
    """Return every way beside the raw channel of the same guest, as milliseconds for 32 MiB."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place, started(bench) as sshd:
        file = Path(place) / "file"
        file.write_bytes(os.urandom(SIZE_BYTES))
        box, rounds = sshd.box, bench.rounds
        client = _client(box.engine)
        before = _floor(box.engine, box, rounds)
        pushed = _median(rounds, lambda: _push(client, box, file))
        pulled = _median(rounds, lambda: _pull(client, box, file))
        box.sh(f"cat {_REMOTE} >/dev/null")
        remembered = _median(rounds, lambda: _pull(client, box, file))
        by_cli = [_median(rounds, lambda way=way: _command(box, way, file)) for way in ("push", "pull")]
        by_scp = [_median(rounds, lambda way=way: _scp(sshd, way, file)) for way in ("push", "pull")]
        tunnels = _tunnels(client, box, rounds)
        written = median(_written_ms(box) for _ in range(rounds))
        looped = median(float(box.exec("/usr/bin/python3", "-c", _LOOPBACK)["stdout"]) for _ in range(rounds))
        # Before and after all else: other work on the machine comes and goes.
        up, down = (median(both) for both in zip(before, _floor(box.engine, box, rounds), strict=True))
    return [
        Figure("push 32 MiB to the guest's disk", pushed, "raw channel, upwards", up, "≤ 1.67 ×"),
        Figure("pull 32 MiB from the guest's disk", pulled, "raw channel, downwards", down, "≤ 1.67 ×"),
        Figure("pull 32 MiB from its page cache", remembered, "raw channel, downwards", down, "≤ 1.67 ×"),
        Figure("the guest writes 32 MiB and syncs", written, "raw channel, upwards", up, "for comparison"),
        Figure("createos sandbox push", by_cli[0], "scp through the tap", by_scp[0], "≤ 1 ×"),
        Figure("createos sandbox pull", by_cli[1], "scp through the tap", by_scp[1], "≤ 1 ×"),
        Figure("tunnel, upwards", tunnels[0], "raw channel, upwards", up, "≤ 1.67 ×"),
        Figure("tunnel, downwards", tunnels[1], "raw channel, downwards", down, "≤ 1.67 ×"),
        Figure("32 MiB over the guest's loopback", looped, "raw channel, downwards", down, "a part of tunnels"),
    ]


def _client(engine: LiveEngine) -> Client:
    """Return the command line's own client, without what starting a process costs."""
    endpoint = local_endpoint(engine.environment)
    return Client(endpoint, open_transport(endpoint))


def _files(box: Box) -> str:
    return f"/v1/sandboxes/{box.id}/files?path={_REMOTE}"


def _push(client: Client, box: Box, file: Path) -> None:
    with file.open("rb", buffering=0) as source:
        client.upload(_files(box), iter(lambda: source.read(_PIECE_BYTES), b""), SIZE_BYTES)


def _pull(client: Client, box: Box, file: Path) -> None:
    _, pieces = client.download(_files(box))
    with file.with_suffix(".pulled").open("wb") as target:
        assert sum(target.write(piece) for piece in pieces) == SIZE_BYTES


def _command(box: Box, way: str, file: Path) -> None:
    places = [str(file), _REMOTE] if way == "push" else [_REMOTE, str(file)]
    argv = [str(Path(sys.executable).with_name("createos")), "sandbox", way, str(box.row["name"]), *places]
    subprocess.run(argv, env=box.engine.environment, check=True, capture_output=True, timeout=120)


def _scp(sshd: Sshd, way: str, file: Path) -> None:
    far = f"{sshd.at}:{_REMOTE}"
    places = [str(file), far] if way == "push" else [far, str(file)]
    subprocess.run(["scp", "-q", *sshd.options, *places], check=True, capture_output=True, timeout=120)


def _tunnels(client: Client, box: Box, rounds: int) -> tuple[float, float]:
    body = {"cmd": "/usr/bin/python3", "args": ["-c", _ENDS]}
    box.engine.call("POST", f"/v1/sandboxes/{box.id}/processes", body)
    wait_for(lambda: box.exec("/bin/sh", "-c", f"grep -q {_SOURCE:04X} /proc/net/tcp")["exit_code"] == 0, 60, "no ends")
    return _median(rounds, lambda: _send(client, box)), _median(rounds, lambda: _receive(client, box))


def _send(client: Client, box: Box) -> None:
    with client.upgrade(_tunnel(box, _SINK)).socket as link:
        for _ in range(SIZE_BYTES // MIB):
            link.sendall(bytes(MIB))
        link.shutdown(socket.SHUT_WR)
        assert link.recv(16) == b"k"


def _receive(client: Client, box: Box) -> None:
    upgraded = client.upgrade(_tunnel(box, _SOURCE))
    buffer = bytearray(MIB)
    with upgraded.socket as link:
        assert len(upgraded.first) + sum(iter(lambda: link.recv_into(buffer), 0)) == SIZE_BYTES


def _tunnel(box: Box, port: int) -> str:
    return f"/v1/sandboxes/{box.id}/tunnel/{port}"


def _written_ms(box: Box) -> float:
    """Return how long a program of the guest takes, by its own clock, to write as much over the file and sync it."""
    blocks = f"count={SIZE_BYTES // 65_536}"
    said = box.exec("dd", "if=/dev/zero", f"of={_REMOTE}", "bs=64k", blocks, "conv=fsync")["stderr"]
    took = re.search(r"copied, ([0-9.e-]+) s", said)
    assert took, said
    return float(took[1]) * 1000


def _floor(engine: LiveEngine, box: Box, rounds: int) -> tuple[float, float]:
    """Stop the daemon, which is the channel's only client, and use the channel ourselves."""
    engine.signal(signal.SIGTERM)
    try:
        raw = RawChannel(Path(engine.socket).parent / "channels" / f"{box.id}.sock")
        up = median(raw.upward(SIZE_BYTES) for _ in range(rounds)) * 1000
        down = median(raw.downward(SIZE_BYTES) for _ in range(rounds)) * 1000
        raw.close()
    finally:
        engine.start()
    return up, down


def _median(rounds: int, action: Callable[[], None]) -> float:
    return median(timed(action) for _ in range(rounds))
