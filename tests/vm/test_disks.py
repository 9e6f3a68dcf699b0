"""S3 disks in real guests: mounted without keys, written to, shared, and cut off when they must be."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host.s3server import OWNER, READER, S3Server
from tests.vm.disks import attach, detach, reach, register, row_at
from tests.vm.engine import Box, LiveEngine, wait_for


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def data(engine: LiveEngine, s3: S3Server) -> Iterator[dict[str, Any]]:
    """A registered disk over a bucket of its own."""
    yield register(engine, s3, "data")
    engine.call("DELETE", "/v1/disks/data")


def test_what_is_written_in_one_sandbox_is_read_in_another_and_by_any_client(
    engine: LiveEngine, box: Box, s3: S3Server, data: dict[str, Any]
) -> None:
    attach(box, "data", "/mnt/data")
    reach(box, "/mnt/data", "mounted")
    box.sh("echo from one >/mnt/data/hello && mkdir /mnt/data/sub && echo deep >/mnt/data/sub/file")
    other = engine.create(disks=[{"disk_id": data["id"], "mount_path": "/data"}])
    reach(other, "/data", "mounted")

    assert other.sh("cat /data/hello /data/sub/file") == "from one\ndeep\n"
    assert s3.get("data", "hello") == b"from one\n"
    s3.put("data", "outside", b"by a client")
    assert other.sh("cat /data/outside") == "by a client"
    other.sh("mv /data/hello /data/moved && rm /data/outside && echo more >>/data/sub/file")
    assert s3.get("data", "sub/file") == b"deep\nmore\n"
    assert {"moved", "sub/file"} <= set(s3.keys("data"))
    assert "outside" not in s3.keys("data")
    detach(box, "data", "/mnt/data")
    assert box.sh("ls -A /mnt/data; grep -c /mnt/data /proc/mounts || true") == "0\n"
    other.destroy()


def test_a_folder_is_a_boundary_for_the_guest(box: Box, s3: S3Server, data: dict[str, Any]) -> None:
    s3.put("data", "above", b"not for you")
    attach(box, "data", "/mnt/folder", "team/one")
    reach(box, "/mnt/folder", "mounted")
    box.sh("echo mine >/mnt/folder/own")
    port = box.sh("netstat -tln | sed -n 's/.*127.0.0.1:\\([0-9]*\\).*/\\1/p' | grep -v 1029 | head -1").strip()
    request = "printf %b 'GET {} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | nc 127.0.0.1 " + port

    assert "mine" in box.sh(request.format("/data/team/one/own"))
    for path in ("/data/above", "/data/team/one/../../above", "/data/team/one/%2e%2e/%2e%2e/above", "/shared/", "/"):
        said = box.sh(request.format(path))
        assert " 200 " not in said.splitlines()[0], (path, said)
        assert "not for you" not in said
    assert s3.get("data", "team/one/own") == b"mine\n"
    detach(box, "data", "/mnt/folder")


def test_the_keys_are_nowhere_in_the_guest_and_in_no_log(
    engine: LiveEngine, s3: S3Server, data: dict[str, Any]
) -> None:
    keeper = engine.create(disks=[{"disk_id": "data", "mount_path": "/data"}], egress=["192.0.2.1"])
    reach(keeper, "/data", "mounted")
    keeper.sh("echo x >/data/x && cat /data/x")
    places = "/proc/[0-9]*/environ /proc/[0-9]*/cmdline /run /etc /tmp /root /var/*"
    pattern = f"{OWNER.access_key[:-1]}[{OWNER.access_key[-1]}]"
    found = keeper.sh(f"find {places} -xdev -type f -exec grep -l '{pattern}' {{}} + 2>/dev/null; true")
    keeper.pause()
    memory = engine.state / "snapshots" / keeper.id / "memory"
    files = [path for path in engine.state.rglob("*") if path.is_file() and path.suffix not in (".raw", ".qcow2")]

    assert found == ""
    for secret in (OWNER.secret_key.encode(), OWNER.access_key.encode()):
        assert memory in files
        assert [path for path in files if secret in path.read_bytes()] == []
        assert secret not in engine.log.read_bytes()
    assert OWNER.secret_key not in engine.http.get("/v1/disks/data").text
    keeper.destroy()


def test_a_pause_loses_no_write_and_what_is_open_goes_on(
    engine: LiveEngine, s3: S3Server, data: dict[str, Any]
) -> None:
    busy = engine.create(disks=[{"disk_id": "data", "mount_path": "/busy"}, {"disk_id": "data", "mount_path": "/idle"}])
    reach(busy, "/busy", "mounted")
    reach(busy, "/idle", "mounted")
    busy.sh("echo idle >/idle/idle-file")
    process = busy.engine.call(
        "POST",
        f"/v1/sandboxes/{busy.id}/processes",
        {"cmd": "/bin/sh", "args": ["-c", "exec 3>/busy/open; echo before >&3; read line; echo $line >&3"]},
    )
    wait_for(lambda: "3" in busy.sh(f"ls /proc/{process['pid']}/fd"), 20, "the file is not open")
    wait_for(lambda: busy.sh("wc -c </busy/open").strip() == "7", 20, "nothing is written")
    busy.pause()

    assert s3.get("data", "open") == b"before\n"
    assert {row_at(busy, path)["mount_status"] for path in ("/busy", "/idle")} == {"pending"}
    fork = engine.call("POST", f"/v1/sandboxes/{busy.id}/fork", {})
    child = Box(engine, fork)
    child.reach("running")
    busy.resume()
    reach(busy, "/busy", "mounted")
    reach(busy, "/idle", "mounted")
    path = f"/v1/sandboxes/{busy.id}/processes/{process['process_id']}"
    engine.call("POST", f"{path}/input", {"data_base64": "YWZ0ZXIK"})
    engine.call("GET", f"{path}/wait?timeout_ms=30000")
    assert s3.get("data", "open") == b"before\nafter\n"
    assert busy.sh("cat /idle/idle-file") == "idle\n"

    assert engine.call("GET", f"/v1/sandboxes/{child.id}/disks")["data"] == []
    wait_for(lambda: child.sh("grep -cE '/busy|/idle' /proc/mounts || true").strip() == "0", 20, "a fork has a disk")
    assert child.exec("/bin/cat", "/idle/idle-file")["exit_code"] != 0
    child.sh("touch /idle/its-own")
    child.destroy()
    busy.destroy()


def grows(s3: S3Server) -> None:
    """Wait until the bucket has an object more."""
    before = len(s3.keys("data"))
    wait_for(lambda: len(s3.keys("data")) > before, 30, "the disk is not written to")


def test_a_program_that_goes_on_writing_over_a_pause_never_writes_beside_the_disk(
    box: Box, s3: S3Server, data: dict[str, Any]
) -> None:
    attach(box, "data", "/mnt/log", "log")
    reach(box, "/mnt/log", "mounted")
    script = "while n=$((n + 1)); do echo $n >/mnt/log/$n; sleep 0.4; done 2>/tmp/refused"
    body = {"cmd": "/bin/sh", "args": ["-c", script]}
    writer = box.engine.call("POST", f"/v1/sandboxes/{box.id}/processes", body)
    refused = ""
    # A pause at the very moment of a write leaves the disk mounted, so each comes just after one.
    for _ in range(10):
        grows(s3)
        box.pause()
        box.resume()
        wait_for(lambda: row_at(box, "/mnt/log")["mount_status"] != "pending", 60, "nothing becomes of the disk")
        assert row_at(box, "/mnt/log").get("mount_error", "") == ""
        if refused := box.sh("cat /tmp/refused"):
            break
    grows(s3)
    box.sh(f"kill {writer['pid']}")

    assert "Read-only file system" in refused
    assert row_at(box, "/mnt/log")["mount_status"] == "mounted"
    detach(box, "data", "/mnt/log")
    assert box.sh("ls -A /mnt/log; grep -c /mnt/log /proc/mounts || true") == "0\n"
    box.sh("echo own >/mnt/log/own && rm -r /mnt/log")


def test_an_endpoint_that_stands_still_is_said_and_cut_off_and_used_again(
    box: Box, s3: S3Server, data: dict[str, Any]
) -> None:
    attach(box, "data", "/mnt/frozen")
    reach(box, "/mnt/frozen", "mounted")
    box.sh("echo kept >/mnt/frozen/kept")
    with s3.frozen():
        row = reach(box, "/mnt/frozen", "error")
        assert "does not answer" in row["mount_error"]
    reach(box, "/mnt/frozen", "mounted")
    assert box.sh("cat /mnt/frozen/kept") == "kept\n"
    with s3.frozen():
        begun = time.monotonic()
        detach(box, "data", "/mnt/frozen")
        took_s = time.monotonic() - begun
    assert row_at(box, "/mnt/frozen") == {}
    assert took_s < 30, "a detach is a matter of 10 s; this machine is busy"
    wait_for(lambda: box.sh("grep -c /mnt/frozen /proc/mounts || true").strip() == "0", 20, "it is still mounted")


def test_an_endpoint_that_is_gone_is_said_and_used_again_when_it_is_back(
    box: Box, s3: S3Server, data: dict[str, Any]
) -> None:
    for path in ("/mnt/stays", "/mnt/goes"):
        attach(box, "data", path)
        reach(box, path, "mounted")
    box.sh("echo kept >/mnt/stays/kept")
    with s3.dead():
        row = reach(box, "/mnt/stays", "error")
        assert "refuses connections" in row["mount_error"]
        detach(box, "data", "/mnt/goes")
        assert row_at(box, "/mnt/goes") == {}
    reach(box, "/mnt/stays", "mounted")
    assert box.sh("cat /mnt/stays/kept") == "kept\n"
    detach(box, "data", "/mnt/stays")


def test_other_keys_are_used_at_once(engine: LiveEngine, box: Box, s3: S3Server) -> None:
    register(engine, s3, "shared")
    s3.put("shared", "there", b"readable")
    attach(box, "shared", "/mnt/shared")
    reach(box, "/mnt/shared", "mounted")
    box.sh("echo written >/mnt/shared/by-owner")
    keys = {"access_key": READER.access_key, "secret_key": READER.secret_key}
    engine.call("PATCH", "/v1/disks/shared", {"credentials": keys})

    assert box.sh("cat /mnt/shared/there") == "readable"
    assert box.exec("/bin/dd", "if=/bin/busybox", "of=/mnt/shared/by-reader", "count=1", "conv=fsync")["exit_code"] != 0
    assert "by-reader" not in s3.keys("shared")
    assert engine.http.delete("/v1/disks/shared").status_code == 409
    detach(box, "shared", "/mnt/shared")
    engine.call("DELETE", "/v1/disks/shared")


def test_what_cannot_be_mounted_is_said_with_its_cause(engine: LiveEngine, box: Box, data: dict[str, Any]) -> None:
    attach(box, "data", "/bin/sh")
    row = reach(box, "/bin/sh", "error")
    assert "is not a directory" in row["mount_error"]
    detach(box, "data", "/bin/sh")
    attach(box, "data", "/mnt/one")
    for inside in ("/mnt", "/mnt/one/below", "/mnt/one"):
        body = {"disk_id": "data", "mount_path": inside}
        assert engine.http.post(f"/v1/sandboxes/{box.id}/disks", json=body).status_code == 409
    detach(box, "data", "/mnt/one")
    for body in ({"disk_id": "data", "mount_path": "/proc/x"}, {"disk_id": "data", "mount_path": "relative"}):
        assert engine.http.post(f"/v1/sandboxes/{box.id}/disks", json=body).status_code == 400
    assert (
        engine.http.post(f"/v1/sandboxes/{box.id}/disks", json={"disk_id": "no", "mount_path": "/x"}).status_code == 404
    )


def test_a_daemon_that_is_killed_finds_its_disks_again(
    engine: LiveEngine, box: Box, s3: S3Server, data: dict[str, Any]
) -> None:
    attach(box, "data", "/mnt/kept")
    reach(box, "/mnt/kept", "mounted")
    box.sh("cd /mnt/kept && echo before >kill-file")
    engine.signal(signal.SIGKILL)
    engine.start()

    wait_for(lambda: box.exec("/bin/cat", "/mnt/kept/kill-file")["stdout"] == "before\n", 60, "it cannot be read")
    box.sh("echo after >>/mnt/kept/kill-file")
    assert s3.get("data", "kill-file") == b"before\nafter\n"
    assert reach(box, "/mnt/kept", "mounted")
    assert box.sh("grep -c '/mnt/kept fuse.s3fs' /proc/mounts") == "1\n"
    limits = Path(f"/proc/{engine.process.pid if engine.process else 0}/limits").read_text()
    assert any(line.split()[:6] == ["Max", "core", "file", "size", "0", "0"] for line in limits.splitlines())
    detach(box, "data", "/mnt/kept")
