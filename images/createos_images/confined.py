"""`python -m createos_images.confined JOB`: one build, run by buildah.py inside namespaces that die with it.

Mounts that are made here are seen by nobody else and vanish with the process: the scratch file system that bounds what
a build may write, a private /run and /tmp, the images it begins from. stdout is the build's log.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from createos_images import ext4, file_capabilities, jobs
from createos_images.cache import Cache, building
from createos_images.command import run
from createos_images.errors import ImageError
from createos_images.failed_step import explained
from createos_images.jobs import HERE, INTERFACE, Built, Job, Link, Source

SCRATCH = Path("/run/createos-build")
"""Where the bounded file system is mounted, for the build alone."""

_QUICK_S = 120.0
_COPY_S = 900.0
# The root of a build is nobody on the host; 65536 ids as the images of containers have them.
_FIRST_ID = 1_879_048_192
_ID_MAP = f"0:{_FIRST_ID}:65536"
# buildah gives a cache to the host's root, whom the build does not know; uid and gid of a cache are ids of the host.
_CACHE = re.compile(r"(?<=\s)(--mount=(?=\S*type=cache)(?!\S*uid=)\S+)")
_OWNED = f",uid={_FIRST_ID},gid={_FIRST_ID}"
# The type of a mount that names none, which this buildah does not guess.
_UNTYPED = re.compile(r"(?<=\s)--mount=(?!\S*type=)(?=\S*from=)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_HOLES_FROM_BYTES = 2**20
_MOST_PROCESSES = 4096
_STUBS = (".dockerenv", "run/.containerenv", "etc/hostname", "etc/hosts", "etc/resolv.conf")
_RESULT = f"{HERE}result"


def main() -> int:
    """Build what the job file says."""
    return carry_out(Path(sys.argv[1]), _prepare)


def carry_out(work: Path, prepare: Callable[[Job], Path | None]) -> int:
    """Do the job of a directory; the result, or why there is none, is written beside it.

    *prepare* makes the places and may return what came out of steps that ran elsewhere.
    """
    job = jobs.read_job(work)
    try:
        built = _build(job, prepare(job))
    except ImageError as exc:
        jobs.write_result(work, Built(reason=exc.reason, hint=exc.hint))
        return 1
    jobs.write_result(work, built)
    return 0


def _prepare(job: Job) -> Path | None:
    archive = _built_elsewhere(job) if job.service else None
    _private_places(job)
    _network(job.link)
    return archive


def _say(line: str) -> None:
    """Write a line of the build's log."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _private_places(job: Job) -> None:
    """Put a file system of a limited size, an empty /run and the build's own resolv.conf in place."""
    image = job.work / "scratch.img"
    with image.open("wb") as file:
        file.truncate(job.quota_mib * 2**20)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", image, timeout_s=_QUICK_S)
    # The root of a build is nobody here: it could not pass through the directories that lead to ours.
    run("mount", "-t", "tmpfs", "-o", "nodev,nosuid,mode=755,size=64m", "tmpfs", "/run", timeout_s=_QUICK_S)
    SCRATCH.mkdir()
    run("mount", "-o", "loop,nodev,nosuid", image, SCRATCH, timeout_s=_QUICK_S)
    os.environ["TMPDIR"] = str(SCRATCH)
    resolv = job.work / "resolv.conf"
    resolv.write_text("".join(f"nameserver {address}\n" for address in (job.link.resolvers if job.link else ())))
    run("mount", "--bind", resolv, Path("/etc/resolv.conf").resolve(), timeout_s=_QUICK_S)


def _network(link: Link | None) -> None:
    """Configure loopback and, when there is one, the link that the other side puts into our namespace."""
    _ip("link", "set", "lo", "up")
    if link is None:
        return
    deadline = time.monotonic() + _QUICK_S
    while not _has_interface():
        if time.monotonic() > deadline:
            raise ImageError("the build got no network link", "see the log of createosd")
        time.sleep(0.02)
    for address in link.addresses:
        _ip("address", "add", address, "dev", INTERFACE, *(("nodad",) if ":" in address else ()))
    _ip("link", "set", INTERFACE, "up")
    for gateway in link.gateways:
        _ip("route", "add", gateway, "dev", INTERFACE)
        _ip("route", "add", "default", "via", gateway, "dev", INTERFACE)


def _has_interface() -> bool:
    try:
        _ip("link", "show", INTERFACE)
    except ImageError:
        return False
    return True


def _ip(*words: str) -> None:
    run("ip", *words, timeout_s=_QUICK_S)


def _built_elsewhere(job: Job) -> Path:
    """Have a service run the steps. Its libraries cost 0.2 s, and most builds need none."""
    archive: Path = import_module("createos_images.docker_engine").build(job, partial(_tree, job), _say)
    return archive


def _build(job: Job, archive: Path | None) -> Built:
    """Run the steps, unless somebody else has: then *archive* is what came out of them."""
    mine = _Storage(job, SCRATCH / "storage", shared=archive is None)
    if archive:
        image = mine.call("pull", "--quiet", "--signature-policy", str(job.policy), f"docker-archive:{archive}")
        archive.unlink()
    else:
        image = _bud(job, mine)
    container = mine.call("from", "--pull-never", image)
    tree = Path(mine.call("mount", container))
    config = _config(mine.call("inspect", "--type", "image", image))
    _remove_stubs(tree)
    for volume in job.volumes:
        _make_volume(tree, _VARIABLE.sub(lambda found: config["env"].get(found[1] or found[2], ""), volume))
    _settle_files(tree)
    _say("writing the file system")
    return Built(size_bytes=ext4.make_base(tree, job.raw), config=config)


def _make_volume(tree: Path, volume: str) -> None:
    """Make a directory, unless the image has something else on the way: it may be a link out of the tree."""
    place = tree
    for name in Path(volume).parts:
        if name in ("/", ".."):
            continue
        place /= name
        if not place.is_symlink() and not place.exists():
            place.mkdir(mode=0o755)
        if place.is_symlink() or not place.is_dir():
            return


def _bud(job: Job, storage: _Storage) -> str:
    """Run the steps with buildah and return the name of the image that comes out."""
    with building(Cache(job.cache), "images of builds", _say):
        for source in job.sources:
            _ensure_image(job, source)
    context = SCRATCH / "context"
    context.mkdir()
    argv = [
        *storage.argv,
        *("bud", "--isolation", "oci", "--runtime", "runc", "--network", "host", "--pull-never", "--layers=false"),
        *("--http-proxy=false", "--squash", "--format", "oci", "--cgroup-parent", job.cgroup),
        *("--userns-uid-map", _ID_MAP, "--userns-gid-map", _ID_MAP, "--memory", f"{job.memory_mib}m"),
        *("--ulimit", f"nproc={_MOST_PROCESSES}:{_MOST_PROCESSES}", "--signature-policy", str(job.policy)),
        *("--tag", _RESULT, "--file", str(job.dockerfile), str(context)),
    ]
    text = _UNTYPED.sub("--mount=type=bind,", job.dockerfile.read_text())
    job.dockerfile.write_text(_CACHE.sub(rf"\1{_OWNED}", text))
    last = ""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        for line in _lines(running):
            last = line if line.strip() else last
            _say(line)
    if running.returncode:
        raise ImageError(explained(last), "correct the step and submit the template again")
    return _RESULT


def _remove_stubs(tree: Path) -> None:
    """Remove the empty files that builders leave where they mount something into the container of a step."""
    for path in (tree / stub for stub in _STUBS):
        if path.is_file() and not path.is_symlink() and path.stat().st_size == 0:
            path.unlink()


def _settle_files(tree: Path) -> None:
    """Make files sparse again: layers are tar archives, which write every zero out. Capabilities hold in guests."""
    for parent, _, files in os.walk(tree):
        for path in (Path(parent, name) for name in files):
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode):
                continue
            capabilities = file_capabilities.read(path)
            if found.st_size >= _HOLES_FROM_BYTES:
                run("fallocate", "--dig-holes", path, timeout_s=_COPY_S)
            if capabilities:
                file_capabilities.write(path, file_capabilities.for_guests(capabilities, _FIRST_ID))


def _lines(running: subprocess.Popen[bytes]) -> Iterator[str]:
    assert running.stdout is not None
    for line in running.stdout:
        text = line.decode(errors="replace").rstrip("\r\n").replace(_OWNED, "")
        yield text.replace(HERE, "") if text.startswith("STEP ") else text


def _ensure_image(job: Job, source: Source) -> None:
    """Make a base known to buildah under its name, once for each digest; later builds find it in the shared storage."""
    storage = _Storage(job, Cache(job.cache).root / "buildah" / "storage", shared=False)
    name = f"{HERE}{source.name}"
    known = storage.try_call("inspect", "--type", "image", "--format", "{{.OCIv1.Config.Labels}}", name)
    if known is None or source.digest not in known:
        _say(f"preparing {source.name}")
        container = storage.call("from", "scratch")
        with _tree(job, source) as tree:
            run("cp", "-a", "--", f"{tree}/.", storage.call("mount", container), timeout_s=_COPY_S)
        settings = [word for key, value in source.env.items() for word in ("--env", f"{key}={value}")]
        settings += ["--workingdir", source.working_dir, "--user", source.user, "--label", f"createos={source.digest}"]
        storage.call("config", *settings, "--cmd", "[]", container)
        storage.call("commit", "--quiet", "--rm", "--signature-policy", str(job.policy), container, name)


@contextmanager
def _tree(job: Job, source: Source) -> Iterator[Path]:
    """Show the files of a base for the time of a block."""
    place = job.work / "base"
    place.mkdir(exist_ok=True)
    how = "ro" if source.raw.is_block_device() else "loop,ro"
    run("mount", "-o", how, source.raw, place, timeout_s=_QUICK_S)
    try:
        yield place
    finally:
        run("umount", place, timeout_s=_QUICK_S)


@dataclass(frozen=True)
class _Storage:
    """buildah on one storage directory; with *shared* the images that all builds begin from are seen read-only."""

    job: Job
    root: Path
    shared: bool

    @property
    def argv(self) -> list[str]:
        """Return the words that every call begins with."""
        runroot = "/run/images" if not self.shared else "/run/build"
        more = Cache(self.job.cache).root / "buildah" / "storage"
        options = ["--storage-opt", f"overlay.imagestore={more}"] if self.shared else []
        return ["buildah", "--root", str(self.root), "--runroot", runroot, "--storage-driver", "overlay", *options]

    def call(self, *argv: str) -> str:
        """Run one command and return what it prints."""
        return run(*self.argv, *argv, timeout_s=_COPY_S).strip()

    def try_call(self, *argv: str) -> str | None:
        """Return what a command prints, None when it fails."""
        try:
            return self.call(*argv)
        except ImageError:
            return None


def _config(inspected: str) -> Mapping[str, Any]:
    """Return the parts of an image's configuration that say how programs run in it."""
    said = json.loads(inspected)["OCIv1"]["config"]
    env = dict(pair.partition("=")[::2] for pair in said.get("Env") or [])
    return {
        "env": env,
        "working_dir": said.get("WorkingDir") or "/",
        "user": said.get("User") or "",
        "entrypoint": list(said.get("Entrypoint") or []),
        "cmd": list(said.get("Cmd") or []),
        "ports": sorted(said.get("ExposedPorts") or {}),
    }


if __name__ == "__main__":
    sys.exit(main())
