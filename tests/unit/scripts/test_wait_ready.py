"""`make up` waits for the daemon through this script, and shows what it says."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "wait_ready.py"


def wait_ready(*arguments: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[None]:
    """Serve one HTTP answer after the other on a unix socket."""

    def serve() -> None:
        for answer in answers:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(timeout=120)


READY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BODY = b'{"status":"fail","data":{"ready":false,"reason":"finding out the accelerator"}}'
NOT_YET = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


def test_a_daemon_that_becomes_ready_is_waited_for(tmp_path: Path) -> None:
    with answering(tmp_path / "a.sock", NOT_YET, NOT_YET, READY):
        done = wait_ready(tmp_path / "a.sock", 10)

    assert (done.returncode, done.stderr) == (0, "")


def test_when_the_time_is_over_the_daemons_own_reason_is_shown(tmp_path: Path) -> None:
    with answering(tmp_path / "a.sock", NOT_YET):
        done = wait_ready(tmp_path / "a.sock", 0)

    assert done.returncode == 1
    assert "finding out the accelerator" in done.stderr


def test_a_daemon_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(timeout=120)

    done = wait_ready(tmp_path / "a.sock", 20, gone.pid)

    assert done.returncode == 1
    assert "has ended" in done.stderr
