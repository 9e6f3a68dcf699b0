"""Builds Dockerfiles in an image cache of a test's own, and looks into what comes out."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from createos_images.buildah import Buildah, sources_of
from createos_images.builder import Base, build_base, find_base
from createos_images.cache import Cache
from createos_images.dockerfile import check
from createos_images.progress import silent


def images(place: Path) -> Cache:
    """Return a cache with busybox:1 in it."""
    cache = Cache(place / "cache")
    build_base("busybox:1", cache, silent)
    return cache


class BuildLab:
    """Builds files, with buildah alone or with a service that runs the steps."""

    def __init__(self, cache: Cache, service: str = "") -> None:
        self.cache = cache
        self.buildah = Buildah(cache, quota_mib=512, memory_mib=256, timeout_s=120, service=service)
        self.log: list[str] = []

    def build(self, *steps: str, name: str = "tpl-test") -> Base:
        """Build a file that begins from busybox:1 unless it says otherwise."""
        text = "\n".join(steps if steps[0].startswith(("FROM", "ARG")) else ("FROM busybox:1", *steps)) + "\n"
        return self.build_text(text, name)

    def build_text(self, text: str, name: str = "tpl-test") -> Base:
        """Build a whole file."""
        dockerfile = check(text, {"busybox:1"})
        self.buildah.require(dockerfile)
        self.log = []
        return self.buildah.build(name, dockerfile, sources_of(dockerfile, self.find), self.log.append)

    def find(self, name: str) -> Base:
        """Return a base of the cache."""
        found = find_base(name, self.cache)
        assert found
        return found

    def said(self) -> str:
        """Return the log."""
        return "\n".join(self.log)


def debugfs(base: Base, request: str) -> str:
    """Return what debugfs says of a base."""
    done = subprocess.run(["/sbin/debugfs", "-R", request, base.path], capture_output=True, text=True, check=True)
    return done.stdout


def listed(base: Base, directory: str) -> dict[str, list[str]]:
    """Return name → words of debugfs's line: inode, mode, links, uid, gid, size, …"""
    rows = [line.split() for line in debugfs(base, f"ls -l {directory}").splitlines() if line.strip()]
    return {row[-1]: row for row in rows}


def tree(base: Base) -> dict[str, tuple[object, ...]]:
    """Return path → all that an image says of a file but its times: mode, owner, group, links, attributes, content."""
    with mounted(base) as root:
        return {str(path.relative_to(root)): _facts(path) for path in root.rglob("*")}


def contents(base: Base, paths: Iterable[str]) -> dict[str, str]:
    """Return path → text of files in an image."""
    with mounted(base) as root:
        return {path: (root / path).read_text() for path in paths}


@contextmanager
def mounted(base: Base) -> Iterator[Path]:
    """Show the files of an image for the time of a block."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["mount", "-o", "loop,ro", base.path, place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


def _facts(path: Path) -> tuple[object, ...]:
    said = path.lstat()
    attributes = tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in _attributes(path))
    links = said.st_nlink if path.is_file() else 0
    return (oct(said.st_mode), said.st_uid, said.st_gid, links, attributes, _content(path, said.st_mode))


def _attributes(path: Path) -> list[str]:
    return sorted(os.listxattr(path, follow_symlinks=False))


def _content(path: Path, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return str(path.readlink())
    return sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else ""


@contextmanager
def service(place: Path, kind: str) -> Iterator[str]:
    """Run Docker's daemon or podman's service for the time of a block; its networks and rules are off."""
    socket = place / f"{kind}.sock"
    # podman wants its name to have 50 characters at most.
    run = tempfile.mkdtemp(prefix="builds-", dir="/run")
    url, root = f"unix://{socket}", str(place / "root")
    docker = ["dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", "--data-root", root]
    podman = ["podman", "--root", root, "--runroot", run, "--runtime", "runc", "system", "service", "--time=0", url]
    argv = {"docker": [*docker, "--exec-root", run, "--pidfile", str(place / "pid"), "-H", url], "podman": podman}[kind]
    temporary = place / "tmp"  # a service that is ended leaves files there
    temporary.mkdir()
    env = {**os.environ, "TMPDIR": str(temporary)}
    with (place / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log, env=env) as running:
        try:
            wait_for(socket.exists)
            yield url
        finally:
            running.terminate()
            running.wait(60)
            shutil.rmtree(run)


def wait_for(condition: Callable[[], bool], deadline_s: float = 150) -> None:
    """Wait for a condition."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
