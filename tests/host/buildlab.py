"""Builds Dockerfiles in an image cache of a test's own, and looks into what comes out."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
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


BINDS_LOW_PORTS = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
"""`cap_net_bind_service=ep` of a file (security.capability)."""


def giving(path: str, attributes: Mapping[str, bytes]) -> str:
    """Return a shell line that gives a file attributes, in an image that has no program for it."""
    program = "".join(rf"\{byte:03o}" for byte in _setting(path, attributes))
    return f"printf '{program}' >/give && chmod 755 /give && /give && rm /give"


def _setting(path: str, attributes: Mapping[str, bytes]) -> bytes:
    """Return a program for x86-64: setxattr(2) for each, then exit(2) with the last one's error."""
    base, header, each, leave = 0x400000, 120, 34, 11
    data = base + header + each * len(attributes) + leave
    code, texts = b"", path.encode() + b"\0"
    for name, value in attributes.items():
        named, valued = data + len(texts), data + len(texts) + len(name) + 1
        texts += name.encode() + b"\0" + value
        code += (
            b"\xb8" + struct.pack("<I", 188) + b"\xbf" + struct.pack("<I", data) + b"\xbe" + struct.pack("<I", named)
        )
        code += b"\xba" + struct.pack("<I", valued) + b"\x41\xba" + struct.pack("<I", len(value))
        code += b"\x45\x31\xc0\x0f\x05" + b"\x90" * 3
    code += b"\xf7\xd8\x89\xc7\xb8" + struct.pack("<I", 60) + b"\x0f\x05"
    size = header + len(code) + len(texts)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    elf = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + header, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    loaded = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096)
    return ident + elf + loaded + code + texts


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
