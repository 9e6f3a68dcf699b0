"""OpenSSH's own clients through the gateway, into images with and without an SSH server of their own."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from tests.vm.engine import Box, LiveEngine, wait_for


@dataclass
class Login:
    """How clients reach one sandbox: its own key, and the gateway's key pinned."""

    box: Box
    options: list[str]
    port: int

    def run(self, *argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run `ssh OPTIONS NAME argv`."""
        return subprocess.run(
            ["ssh", *self.options, "-p", str(self.port), self.at, *argv],
            input=stdin,
            capture_output=True,
            timeout=300,
            check=False,
        )

    @property
    def at(self) -> str:
        """User and host."""
        return f"{self.box.row['name']}@127.0.0.1"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ssh") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture(scope="module")
def login(engine: LiveEngine, key: Path) -> Iterator[Login]:
    box = engine.create(name="reached", ssh_pubkeys=[key.with_suffix(".pub").read_text()])
    yield log_in(engine, box, key)
    box.destroy()


def log_in(engine: LiveEngine, box: Box, key: Path) -> Login:
    gateway = engine.call("GET", "/v1/ssh-gateway")
    known = key.with_name("known_hosts")
    known.write_text(f"[127.0.0.1]:{gateway['port']} {gateway['host_key']}\n")
    options = {
        "IdentityFile": str(key),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(known),
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
    }
    return Login(box, [word for pair in options.items() for word in ("-o", "=".join(pair))], int(gateway["port"]))


def test_a_command_keeps_its_output_its_input_and_its_exit_code(login: Login) -> None:
    done = login.run("cat; echo err >&2; exit 7", stdin=b"through")

    assert (done.stdout, done.stderr, done.returncode) == (b"through", b"err\n", 7)


def test_a_signal_is_told_and_large_output_is_whole(login: Login) -> None:
    assert login.run("kill -TERM $$").returncode in (143, 255)
    sent = os.urandom(3_000_000)

    assert hashlib.sha256(login.run("cat", stdin=sent).stdout).digest() == hashlib.sha256(sent).digest()


def test_a_wrong_key_an_unknown_name_and_a_strange_key_look_the_same(login: Login, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    options = [word.replace(str(tmp_path), "") for word in login.options]
    wrong = [f"IdentityFile={other}" if word.startswith("IdentityFile=") else word for word in options]

    def refused(words: list[str], name: str) -> str:
        argv = ["ssh", *words, "-p", str(login.port), f"{name}@127.0.0.1", "true"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 255
        return done.stderr.replace(name, "NAME")

    assert refused(wrong, str(login.box.row["name"])) == refused(login.options, "nobody-there")


def test_files_go_both_ways_with_scp_and_sftp(login: Login, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(2_000_000))
    sent.chmod(0o750)
    scp = ["scp", "-q", "-p", *login.options, "-P", str(login.port)]

    subprocess.run([*scp, sent, f"{login.at}:/root/kept"], check=True, timeout=300)
    subprocess.run([*scp, f"{login.at}:/root/kept", back], check=True, timeout=300)
    batch = f"put {sent} /root/second\nls -l /root\nrename /root/second /root/third\nmkdir /root/d\n"
    listed = subprocess.run(
        ["sftp", "-b", "-", *login.options, "-P", str(login.port), login.at],
        input=batch.encode(),
        capture_output=True,
        timeout=300,
        check=False,
    )

    assert back.read_bytes() == sent.read_bytes()
    assert login.box.sh("stat -c %a /root/kept").strip() == "750"
    assert listed.returncode == 0, listed.stderr
    assert b"kept" in listed.stdout
    assert login.box.sh("ls -d /root/third /root/d").split() == ["/root/d", "/root/third"]


def test_a_local_port_is_forwarded_to_the_guests_loopback(login: Login) -> None:
    login.box.exec("/bin/sh", "-c", "mkdir -p /www; echo served >/www/x; httpd -p 127.0.0.1:8123 -h /www")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = ["ssh", *login.options, "-p", str(login.port), "-N", "-L", f"{port}:127.0.0.1:8123", login.at]
    with subprocess.Popen(argv) as forwarding:
        try:
            wait_for(lambda: _connects(port), 20, "nothing is forwarded")
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /x HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda: client.recv(4096), b""))
        finally:
            forwarding.terminate()

    assert answer.endswith(b"served\n")


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_terminal_has_a_size_and_ctrl_c_reaches_the_program(login: Login) -> None:
    argv = [*login.options, "-p", str(login.port), "-tt", login.at]
    with pexpect.spawn("ssh", argv, dimensions=(33, 99), timeout=120, encoding="utf-8") as terminal:
        terminal.sendline("stty size")
        terminal.expect("33 99")
        terminal.setwinsize(21, 71)
        terminal.sendline('until stty size | grep "21 71"; do sleep 0.1; done; echo followed-$?')
        terminal.expect("followed-0")
        terminal.sendline("sleep 1000")
        login.box.awaits("sleep 1000")
        terminal.sendintr()
        terminal.sendline("echo code-$?; exit 3")
        terminal.expect("code-130")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 3


def test_rsync_copies_a_tree_into_an_image_that_has_it(engine: LiveEngine, key: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file").write_text("text\n")
    public = key.with_suffix(".pub").read_text()
    box = engine.create(name="devbox-reached", rootfs="devbox:1", disk_mib=2048, ssh_pubkeys=[public])
    login = log_in(engine, box, key)
    shell = " ".join(["ssh", *login.options, "-p", str(login.port)])

    subprocess.run(["rsync", "-a", "-e", shell, f"{tree}/", f"{login.at}:/root/tree/"], check=True, timeout=300)

    assert box.sh("cat /root/tree/below/file") == "text\n"
    box.destroy()


def test_a_sandbox_that_does_not_run_says_so(engine: LiveEngine, key: Path) -> None:
    box = engine.create(name="asleep", ssh_pubkeys=[key.with_suffix(".pub").read_text()])
    login = log_in(engine, box, key)
    box.pause()

    done = login.run("true")

    assert done.returncode != 0
    assert b"paused" in done.stderr
    box.destroy()
