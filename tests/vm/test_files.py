"""Files and tunnels through the command line, into a real guest."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vm.engine import Box, LiveEngine, wait_for

RUN = "import sys; from createos_cli.main import run; sys.exit(run())"
MIB = 2**20


def createos(engine: LiveEngine, *words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-c", RUN, "sandbox", *map(str, words)]
    return subprocess.run(argv, env=engine.environment, input=stdin, capture_output=True, timeout=600, check=False)


def test_a_file_goes_in_and_comes_out_unchanged(engine: LiveEngine, box: Box, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(5 * MIB))

    pushed = createos(engine, "push", box.id, sent, "/root/new/place/file", "--stats", "-o", "table")
    pulled = createos(engine, "pull", box.id, "/root/new/place/file", back)

    assert pushed.returncode == pulled.returncode == 0, pushed.stderr + pulled.stderr
    assert b"5.0 MB in" in pushed.stdout
    assert back.read_bytes() == sent.read_bytes()
    assert box.sh("stat -c '%a %u' /root/new/place/file") == "644 0\n"


def test_a_file_comes_out_whole_whatever_of_it_the_guest_has_in_memory(engine: LiveEngine, box: Box) -> None:
    data = os.urandom(3 * MIB + 17)
    createos(engine, "push", box.id, "-", "/root/partly", stdin=data)

    def pulled() -> bytes:
        return createos(engine, "pull", box.id, "/root/partly", "-").stdout

    assert pulled() == data
    box.sh("head -c 1000000 /root/partly >/dev/null")
    assert pulled() == data
    box.sh("cat /root/partly >/dev/null")
    assert pulled() == data
    box.sh("sync; echo 1 >/proc/sys/vm/drop_caches; printf more >>/root/partly")
    assert pulled() == data + b"more"
    box.sh("rm /root/partly")


def test_streams_go_through_and_nothing_else_is_printed(engine: LiveEngine, box: Box) -> None:
    data = os.urandom(300_000)

    assert createos(engine, "push", box.id, "-", "/root/stream", stdin=data).returncode == 0
    assert createos(engine, "pull", box.id, "/root/stream", "-").stdout == data


def test_an_existing_file_keeps_its_mode_and_an_empty_one_is_a_file(
    engine: LiveEngine, box: Box, tmp_path: Path
) -> None:
    box.sh("echo old >/root/tool; chmod 755 /root/tool")
    empty = tmp_path / "empty"
    empty.touch()

    createos(engine, "push", box.id, empty, "/root/tool")

    assert box.sh("stat -c '%a %s' /root/tool") == "755 0\n"


def test_what_cannot_be_done_is_said_and_changes_nothing(engine: LiveEngine, box: Box, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")

    relative = createos(engine, "push", box.id, kept, "root/x", "-o", "table")
    directory = createos(engine, "push", box.id, tmp_path, "/etc/os-release", "-o", "table")
    missing = createos(engine, "pull", box.id, "/no/such/file", kept, "-o", "table")

    assert [done.returncode for done in (relative, directory, missing)] == [1, 1, 1]
    assert b"must begin with /" in relative.stderr
    assert b"not a directory" in directory.stderr
    assert b"/no/such/file" in missing.stderr
    assert kept.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_file_above_the_limit_is_refused_before_the_disk_fills(engine: LiveEngine, box: Box) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(100)
        client.connect(str(engine.socket))
        head = f"PUT /v1/sandboxes/{box.id}/files?path=/root/big HTTP/1.1\r\nHost: localhost\r\n"
        client.sendall(f"{head}Content-Type: application/octet-stream\r\nContent-Length: {600 * MIB}\r\n\r\n".encode())
        answer = client.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert box.exec("test", "-e", "/root/big")["exit_code"] == 1


def test_a_transfer_that_is_cut_leaves_the_old_file(engine: LiveEngine, box: Box) -> None:
    box.sh("echo precious >/root/precious")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(engine.socket))
        head = f"PUT /v1/sandboxes/{box.id}/files?path=/root/precious HTTP/1.1\r\nHost: localhost\r\n"
        client.sendall(f"{head}Content-Type: application/octet-stream\r\nContent-Length: 9999999\r\n\r\n".encode())
        client.sendall(b"x" * 500_000)

    assert box.sh("cat /root/precious") == "precious\n"
    wait_for(lambda: box.sh("ls -A /root | grep -c precious") == "1\n", 10, "a temporary file is left")


def test_a_link_is_followed_inside_the_guest_only(engine: LiveEngine, box: Box, tmp_path: Path) -> None:
    box.sh("ln -sf /etc/os-release /root/link")
    back = tmp_path / "back"

    createos(engine, "pull", box.id, "/root/link", back)

    assert "createos busybox" in back.read_text()


def test_a_directory_goes_in_and_comes_out_with_modes_and_links(engine: LiveEngine, box: Box, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    (sent / "deep/empty").mkdir(parents=True)
    (sent / "deep/tool").write_bytes(os.urandom(3 * MIB))
    (sent / "deep/tool").chmod(0o750)
    (sent / "tool").symlink_to("deep/tool")
    box.sh("mkdir -p /etc/place/deep; echo mine >/etc/place/deep/mine; ln -s /etc/passwd /etc/place/out")

    pushed = createos(engine, "push", box.id, sent, "/etc/place")
    pulled = createos(engine, "pull", box.id, "/etc/place", back, "-o", "table")

    assert pushed.returncode == 0, pushed.stderr
    assert box.sh("cd /etc/place; stat -c %a deep/tool; readlink tool; cat deep/mine; ls -A deep/empty; ls -A") == (
        "750\ndeep/tool\nmine\ndeep\nout\ntool\n"
    )
    assert pulled.returncode == 1
    assert b"Error: out was not copied: a link with an absolute target" in pulled.stderr
    assert (back / "deep/tool").read_bytes() == (sent / "deep/tool").read_bytes()
    assert (back / "deep/tool").stat().st_mode & 0o777 == 0o750
    assert (back / "tool").readlink() == Path("deep/tool")
    assert sorted(path.name for path in (back / "deep").iterdir()) == ["empty", "mine", "tool"]


@pytest.fixture
def served(box: Box) -> Box:
    """A guest whose loopback serves a page."""
    box.sh("mkdir -p /www; echo page >/www/index.html; pgrep httpd >/dev/null || httpd -p 127.0.0.1:8099 -h /www")
    return box


def test_a_tunnel_serves_many_connections_and_ends_with_ctrl_c(engine: LiveEngine, served: Box) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-c", RUN, "sandbox", "tunnel", served.id, "--remote", "8099", "--local", str(port)]
    with subprocess.Popen(argv, env=engine.environment, stdout=subprocess.PIPE) as tunnel:
        assert tunnel.stdout
        wait_for(lambda: _connects(port), 20, "the tunnel does not listen")
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
        answers = [b"".join(iter(lambda client=client: client.recv(4096), b"")) for client in clients]
        for client in clients:
            client.close()
        tunnel.send_signal(signal.SIGINT)
        assert tunnel.wait(60) == 0

    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == [b"page\n"] * 20


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_port_nobody_listens_on_is_refused_before_the_upgrade(engine: LiveEngine, box: Box) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "tcp-tunnel", "Content-Length": "0"}
    answer = engine.http.post(f"/v1/sandboxes/{box.id}/tunnel/9", headers=headers)

    assert answer.status_code == 502
    assert answer.json()["data"]


def test_large_data_arrives_whole_through_exec(engine: LiveEngine, box: Box) -> None:
    data = os.urandom(8 * MIB)
    createos(engine, "push", box.id, "-", "/root/large", stdin=data)

    assert box.sh("sha256sum /root/large").split()[0] == hashlib.sha256(data).hexdigest()
    box.sh("rm /root/large")
