"""`createos sandbox sync` beside unison and rclone bisync, all three into the same guest.

1,000 files of 1 kB and 50 MB in large ones, half of them on each side; then a pass with nothing to do, then an edit on
each side. unison and rclone come through the SSH gateway, with the same key. What is missing on this machine is said
and left out; the guest gets the host's unison for as long as it is measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.performance.bench import Bench, Figure, timed
from tests.vm.engine import Box

IMAGE = "debian:12"
_SMALL, _SMALL_BYTES = 500, 1_000
_LARGE, _LARGE_BYTES = 5, 5_000_000
_STEPS = ("1,000 files and 50 MB, both ways", "nothing to do", "one edit on each side")
_UNISON = "/opt/unison"


@dataclass(frozen=True)
class Lab:
    """A guest, a directory of this machine, and how SSH clients reach the guest."""

    bench: Bench
    box: Box
    home: Path
    port: int

    @property
    def key(self) -> Path:
        return self.home / "key"

    @property
    def known_hosts(self) -> Path:
        return self.home / "known_hosts"

    def here(self, name: str) -> Path:
        """Fill a directory on this side and one on the other; return the one on this side."""
        here, other = self.home / name / "here", self.home / name / "there"
        for directory in (here, other):
            _fill(directory)
        self.createos("push", self.box.id, other, there(name))
        return here

    def createos(self, *words: str | Path) -> None:
        """Run a command of ours."""
        program = Path(sys.executable).with_name("createos")
        _run([program, "sandbox", *words], self.bench.engine.environment)

    def steps(self, name: str, first: Callable[[], None], again: Callable[[], None], here: Path) -> list[float]:
        """Return how long it takes to bring both together, to find nothing, and to carry two edits over."""
        took = [timed(first), timed(again)]
        with (here / "here1").open("a") as file:
            file.write("x\n")
        self.box.sh(f"echo x >> {there(name)}/there1")
        took.append(timed(again))
        self._check(name, here)
        return took

    def _check(self, name: str, here: Path) -> None:
        """A figure of a program that did not do its work is none."""
        assert len(list(here.iterdir())) == 2 * (_SMALL + _LARGE), name
        assert (here / "there1").read_bytes().endswith(b"x\n"), name
        assert self.box.sh(f"cd {there(name)}; ls | wc -l; tail -c 2 here1").split() == ["1010", "x"], name


def there(name: str) -> str:
    """Return the directory in the guest."""
    return f"/root/bench-{name}"


def measure(bench: Bench) -> list[Figure]:
    """Return three figures for each of the other programs that are installed."""
    with tempfile.TemporaryDirectory(prefix="createos-bench-") as directory:
        lab = _lab(bench, Path(directory))
        ours = _ours(lab)
        found = [(name, run(lab)) for name, run in (("unison", _unison), ("rclone", _rclone)) if _installed(name)]
    return [
        Figure(f"sync: {step}", mine, f"{name} over SSH", theirs[place], "")
        for place, (step, mine) in enumerate(zip(_STEPS, ours, strict=True))
        for name, theirs in found
    ]


def _installed(name: str) -> bool:
    if shutil.which(name):
        return True
    sys.stderr.write(f"{name} is not installed, sync is not measured beside it: apt-get install {name}\n")
    return False


def _lab(bench: Bench, home: Path) -> Lab:
    box = bench.box(IMAGE)
    gateway = bench.engine.call("GET", "/v1/ssh-gateway")
    lab = Lab(bench, box, home, int(gateway["port"]))
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", lab.key], dict(os.environ))
    bench.engine.call(
        "POST", f"/v1/sandboxes/{box.id}/ssh-pubkeys", {"keys": [lab.key.with_suffix(".pub").read_text()]}
    )
    lab.known_hosts.write_text(f"[127.0.0.1]:{lab.port} {gateway['host_key']}\n")
    return lab


def _ours(lab: Lab) -> list[float]:
    here = lab.here("ours")

    def run() -> None:
        ends = ("--local", here, "--remote", there("ours"))
        lab.createos("sync", lab.box.id, *ends, "--once", "--engine", "builtin")

    return lab.steps("ours", run, run, here)


def _unison(lab: Lab) -> list[float]:
    here, config = lab.here("unison"), lab.home / "ssh_config"
    _give_unison(lab)
    config.write_text(
        f"Host guest\n  HostName 127.0.0.1\n  Port {lab.port}\n  User {lab.box.row['name']}\n  IdentityFile {lab.key}\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {lab.known_hosts}\n  BatchMode yes\n"
    )
    argv = ["unison", here, f"ssh://guest/{there('unison')}", "-batch", "-auto", "-ui", "text", "-sshargs"]
    argv += [f"-F {config}", "-servercmd", f"{_UNISON}/ld.so --library-path {_UNISON} {_UNISON}/unison"]

    def run() -> None:
        _run(argv, {**os.environ, "UNISON": str(lab.home / "unison-state")})

    return lab.steps("unison", run, run, here)


def _give_unison(lab: Lab) -> None:
    """Copy the host's unison and its libraries: no image of ours has it."""
    program = Path(str(shutil.which("unison"))).resolve()
    parts = lab.home / "unison-parts"
    parts.mkdir()
    shutil.copy(program, parts / "unison")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for library in {Path(word) for word in listed.split() if word.startswith("/")}:
        shutil.copy(library, parts / ("ld.so" if library.name.startswith("ld-linux") else library.name))
    lab.createos("push", lab.box.id, parts, _UNISON)


def _rclone(lab: Lab) -> list[float]:
    here = lab.here("rclone")
    argv = ["rclone", "bisync", here, f":sftp:{there('rclone')}", "--workdir", lab.home / "rclone-state"]
    environ = {
        **os.environ,
        "RCLONE_CONFIG": "",
        "RCLONE_SFTP_HOST": "127.0.0.1",
        "RCLONE_SFTP_PORT": str(lab.port),
        "RCLONE_SFTP_USER": str(lab.box.row["name"]),
        "RCLONE_SFTP_KEY_FILE": str(lab.key),
        "RCLONE_SFTP_KNOWN_HOSTS_FILE": str(lab.known_hosts),
        # With hashes it starts md5sum in the guest once a file, which takes minutes; without, it goes by size and time.
        "RCLONE_SFTP_DISABLE_HASHCHECK": "true",
    }
    return lab.steps("rclone", lambda: _run([*argv, "--resync"], environ), lambda: _run(argv, environ), here)


def _fill(directory: Path) -> None:
    directory.mkdir(parents=True)
    for number in range(1, _SMALL + 1):
        (directory / f"{directory.name}{number}").write_bytes(os.urandom(_SMALL_BYTES))
    for number in range(1, _LARGE + 1):
        (directory / f"big-{directory.name}{number}").write_bytes(os.urandom(_LARGE_BYTES))


def _run(argv: list[str | Path], environ: dict[str, str]) -> None:
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
