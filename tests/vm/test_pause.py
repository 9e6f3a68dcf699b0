"""Pause, resume and fork of real guests: nothing is lost, and no copy is mistaken for its original."""

from __future__ import annotations

import re
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.vm.engine import Box, LiveEngine, wait_for

ETH_P_ALL = 3
_SO_RCVBUFFORCE, _HELD_BYTES = 33, 2**25
_ICMPV6, _ADVERTISEMENT, _NEIGHBOUR = 58, 136, (135, 136)


@pytest.fixture(scope="module")
def shared(engine: LiveEngine) -> Iterator[Box]:
    box = engine.create(name="sleeper", envs={"COLOUR": "red"})
    yield box
    box.destroy()


@pytest.fixture
def sleeper(shared: Box) -> Iterator[Box]:
    """A sandbox that runs, and runs again after every test."""
    yield shared
    if shared.view()["status"] != "running":
        resume(shared)


def pause(box: Box) -> None:
    answer = box.engine.http.post(f"/v1/sandboxes/{box.id}/pause")
    assert answer.status_code == 202
    assert answer.headers["x-poll-after"]
    reach(box, "paused")


def resume(box: Box, query: str = "") -> None:
    assert box.engine.http.post(f"/v1/sandboxes/{box.id}/resume{query}").status_code == 202
    reach(box, "running")


def reach(box: Box, state: str) -> None:
    wait_for(lambda: box.engine.rows()[box.id] == state, 60, f"it is not {state}: {box.engine.rows()[box.id]}")


def fork(box: Box, **wanted: object) -> Box:
    return Box(box.engine, box.engine.call("POST", f"/v1/sandboxes/{box.id}/fork", wanted))


def counted(box: Box) -> int:
    """Return the number in memory; the file is empty for a moment whenever that is written anew."""
    return int(wait_for(lambda: box.exec("cat", "/dev/shm/n")["stdout"], 10, "it does not count"))


def test_memory_disk_and_processes_go_on_and_the_clock_is_right(engine: LiveEngine, sleeper: Box) -> None:
    path = f"/v1/sandboxes/{sleeper.id}"
    script = "exec 3>/root/open; n=0; while true; do n=$((n+1)); echo $n >/dev/shm/n; echo $n >&3; sleep 0.1; done"
    process = engine.call("POST", f"{path}/processes", {"cmd": "/bin/sh", "args": ["-c", script]})
    before = counted(sleeper)
    pause(sleeper)
    assert sleeper.id not in engine.machines()
    assert engine.http.post(f"{path}/pause").status_code == 200
    refused = engine.http.post(f"{path}/exec", json={"cmd": "true"})
    assert (refused.status_code, refused.json()["data"].split(";")[0]) == (409, "sandbox is paused")
    time.sleep(1)
    resume(sleeper)

    assert counted(sleeper) >= before
    wait_for(lambda: int(sleeper.sh("tail -n 1 /root/open")) > before + 3, 10, "it does not go on")
    assert engine.call("GET", f"{path}/processes/{process['process_id']}")["state"] == "running"
    assert clock_error_s(sleeper) <= 0.05
    assert reaches_the_gateway(sleeper)
    assert engine.http.post(f"{path}/resume").status_code == 200
    view = sleeper.view()
    assert view["paused_at"] < view["last_resumed_at"]
    engine.call("DELETE", f"{path}/processes/{process['process_id']}")


def test_a_full_disk_is_said_in_one_sentence_and_the_sandbox_goes_on(engine: LiveEngine, sleeper: Box) -> None:
    sleeper.sh("echo memory >/dev/shm/kept")
    snapshots = engine.state / "snapshots"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "none", str(snapshots)], check=True)
    try:
        assert engine.http.post(f"/v1/sandboxes/{sleeper.id}/pause").status_code == 202
        reach(sleeper, "running")
        left = list(snapshots.iterdir())
    finally:
        subprocess.run(["umount", str(snapshots)], check=True)

    reason = sleeper.view()["reason"]
    assert re.search(r"could not be paused: .*up to \d+ MiB are needed in .* and 1\d MiB are free; remove", reason)
    assert left == []
    assert sleeper.sh("cat /dev/shm/kept") == "memory\n"


def reaches_the_gateway(box: Box) -> bool:
    """Tell whether the gateway's DNS answers the guest."""
    return bool(box.exec("nc", "-w", "30", "169.254.77.1", "53")["exit_code"] == 0)


def identity(box: Box) -> dict[str, str]:
    """Return what must differ between a sandbox and its forks."""
    return {
        "random": box.sh("head -c 16 /dev/urandom | od -An -tx1"),
        "machine-id": box.sh("cat /etc/machine-id"),
        "hostname": box.sh("hostname"),
        "host key": box.sh("cat /etc/ssh/ssh_host_ed25519_key"),
        "mac": box.sh("cat /sys/class/net/eth0/address").strip(),
        "ip": box.sh("ip -4 -o address show eth0"),
        "ipv6": box.sh("ip -6 -o address show eth0 scope global | awk '{print $4}'").split("/")[0],
        "address": box.view()["ip"],
    }


def clock_error_s(box: Box) -> float:
    """Return how far the guest's clock is off at least: the host knows only that it was read while it waited."""
    begun = time.time()
    shown = box.sh("adjtimex | awk '/time.tv_/ {print $2}'").split()
    ended = time.time()
    guest = int(shown[0]) + int(shown[1]) / 10**6
    return max(0.0, begun - guest, guest - ended)


def test_four_forks_are_others_and_nothing_of_their_source_reaches_the_network(
    engine: LiveEngine, sleeper: Box
) -> None:
    sleeper.sh("echo parent >/root/kept; echo memory >/dev/shm/kept")
    sleeper.sh("mkdir -p /etc/ssh; echo parent >/etc/ssh/ssh_host_ed25519_key")
    parent = identity(sleeper)
    pause(sleeper)
    with Sniffer() as sniffer:
        forks = [fork(sleeper, **wanted) for wanted in ({"envs": {"SHADE": "blue"}}, {}, {}, {})]
        for one in forks:
            reach(one, "running")
        known = [identity(one) for one in forks]
        for one in forks:
            assert reaches_the_gateway(one)
    taps = {sniffer.tap_of(one["mac"]) for one in known}
    foreign = sniffer.frames(taps, mac=parent["mac"], addresses=(parent["address"], parent["ipv6"]))
    late = [clock_error_s(one) for one in forks]
    resume(sleeper)

    assert len(taps) == 4
    for key in parent:
        assert len({one[key] for one in (parent, *known)}) == 5, key
    assert foreign == []
    assert max(late) <= 0.05, late
    assert [one.sh("cat /root/kept /dev/shm/kept") for one in forks] == ["parent\nmemory\n"] * 4
    for number, one in enumerate(forks):
        one.sh(f"echo child {number} >/root/kept")
    sleeper.sh("echo later >/root/new")
    assert sleeper.sh("cat /root/kept") == "parent\n"
    for number, one in enumerate(forks):
        assert one.sh("cat /root/kept; test ! -e /root/new && echo no new") == f"child {number}\nno new\n"
    view = forks[0].view()
    assert (view["forked_from"], view["envs"]) == (sleeper.id, ["SHADE"])
    receipt = view["fork_receipt"]
    assert (receipt["hostname"], receipt["mac"]) == (view["name"], known[0]["mac"])
    assert (receipt["machine_id"], receipt["randomness"]) == (known[0]["machine-id"].strip(), "reseeded from the host")
    assert receipt["ssh_host_keys"].startswith("ssh-ed25519 SHA256:")
    assert float(receipt["clock"].split()[-2]) <= 50
    assert receipt["confirmed_at"] < view["running_at"]
    for one in forks:
        one.destroy()


def test_a_fork_may_stay_paused_and_a_running_source_is_refused(engine: LiveEngine, sleeper: Box) -> None:
    refused = engine.http.post(f"/v1/sandboxes/{sleeper.id}/fork", json={})
    assert (refused.status_code, "sandbox is running" in refused.text) == (409, True)
    pause(sleeper)
    child = fork(sleeper, start_paused=True)
    reach(child, "paused")
    resume(child)

    assert child.sh("hostname").strip() == child.view()["name"]
    child.destroy()


def test_a_checkpoint_is_gone_back_to_and_a_request_wakes_what_idleness_paused(
    engine: LiveEngine, sleeper: Box
) -> None:
    sleeper.sh("echo good >/root/kept; echo good >/dev/shm/kept")
    made = engine.call("POST", f"/v1/sandboxes/{sleeper.id}/checkpoints", {"name": "good"})
    reach(sleeper, "running")
    sleeper.sh("echo bad >/root/kept; echo bad >/dev/shm/kept")
    child = Box(engine, engine.call("POST", "/v1/checkpoints/good/fork", {}))
    reach(child, "running")
    pause(child)
    with sqlite3.connect(engine.state / "engine.db", timeout=60) as database:
        database.execute("UPDATE sandboxes SET auto_paused = 1 WHERE id = ?", (child.id,))
    path = f"/v1/sandboxes/{child.id}/exec"
    refused = engine.http.post(path, json={"cmd": "true"})
    body = {"cmd": "cat", "args": ["/root/kept", "/dev/shm/kept"]}
    woken = engine.http.post(path, json=body, headers={"X-Auto-Resume": "true"})

    assert refused.status_code == 409
    assert woken.json()["data"]["result"]["stdout"] == "good\ngood\n"
    assert sleeper.sh("cat /root/kept /dev/shm/kept") == "bad\nbad\n"
    child.destroy()
    assert engine.call("DELETE", f"/v1/checkpoints/{made['id']}")["name"] == "good"


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_damaged_image_is_refused_and_the_disk_can_be_booted(engine: LiveEngine, sleeper: Box, damage: str) -> None:
    sleeper.sh("echo precious >/root/kept; sync")
    pause(sleeper)
    memory = engine.state / "snapshots" / sleeper.id / "memory"
    _damage(memory, damage)
    engine.http.post(f"/v1/sandboxes/{sleeper.id}/resume")
    wait_for(lambda: engine.rows()[sleeper.id] not in ("resuming", "paused") or sleeper.view().get("reason"), 60, "?")

    view = sleeper.view()
    assert view["status"] in ("error", "paused")
    assert "cold" in str(view.get("reason")), view
    resume(sleeper, "?cold=true")
    assert sleeper.sh("cat /root/kept") == "precious\n"


def _damage(memory: Path, how: str) -> None:
    if how == "cut":
        with memory.open("r+b") as file:
            file.truncate(memory.stat().st_size // 2)
        return
    with memory.open("r+b") as file:
        file.seek(memory.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


class Sniffer:
    """Every frame of every interface in this namespace, with the interface it was on."""

    def __enter__(self) -> Sniffer:
        self._seen: list[tuple[str, bytes]] = []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _HELD_BYTES)
        self._socket.settimeout(0.2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self._note()
        self._socket.close()

    def _run(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                self._note()

    def _note(self) -> None:
        frame, address = self._socket.recvfrom(2048)
        self._seen.append((str(address[0]), frame))

    def tap_of(self, mac: str) -> str:
        """Return the interface on which frames of this MAC were seen."""
        source = bytes.fromhex(mac.replace(":", ""))
        return next(name for name, frame in self._seen if frame[6:12] == source)

    def frames(self, taps: set[str], *, mac: str, addresses: tuple[str, str]) -> list[tuple[str, bytes]]:
        """Return frames on *taps* that name a MAC or an address as their source, in any of the places for it."""
        source = bytes.fromhex(mac.replace(":", ""))
        marks = {source, *(ip_address(address).packed for address in addresses)}
        return [(name, frame) for name, frame in self._seen if name in taps and marks & set(_sources(frame))]


def _sources(frame: bytes) -> list[bytes]:
    """Return whatever a frame says of where it comes from."""
    kind, body = frame[12:14], frame[14:]
    if kind == b"\x08\x06":
        return [frame[6:12], body[8:14], body[14:18]]
    if kind == b"\x08\x00":
        return [frame[6:12], body[12:16]]
    if kind != b"\x86\xdd":
        return [frame[6:12]]
    said = [frame[6:12], body[8:24]]
    if body[6] == _ICMPV6 and body[40] in _NEIGHBOUR:
        # The target of an advertisement, or of the probe for an address one wants to take, is one's own; so is the
        # link-layer address in an option.
        claims = body[40] == _ADVERTISEMENT or not any(body[8:24])
        said += [body[48:64]] if claims else []
        said += [body[66:72]] if len(body) >= 72 else []
    return said
