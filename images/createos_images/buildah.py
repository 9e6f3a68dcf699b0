"""Build a Dockerfile with buildah: no daemon, no download, and nothing of it is left when it ends or is killed.

What confines a RUN step: runc with the default capabilities of containers and a seccomp filter, a user namespace whose
root is nobody on the host, its own process, mount and IPC namespaces, the network namespace it is given (none: only
loopback), limits on memory, processes and disk. It is what containers are, not what machines are: a hole in the host's
kernel is a way out.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Timer
from types import ModuleType

from createos_images import cgroups, digest, jobs
from createos_images.builder import Base, adopt_base
from createos_images.cache import Cache, partial, remove_partials
from createos_images.dockerfile import SCRATCH, Dockerfile
from createos_images.dockerfile_names import renamed, without_volumes
from createos_images.errors import ImageError
from createos_images.jobs import Job, Link, Source

VERSION = 3
"""Raised when the same text would give another result, so that known results are not used any more."""

OnLine = Callable[[str], None]
OnStarted = Callable[[int], None]
# The confined part dies with us, and all that it starts with it.
_NAMESPACES = (
    *("setpriv", "--pdeathsig", "KILL", "unshare", "--net"),
    *(
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--ipc",
        "--mount-proc",
        "--fork",
        "--kill-child=KILL",
    ),
)
_LONGEST_LINE = 4000
_START_S = 10.0


class Buildah:
    """Builds in a cache directory. *quota_mib* bounds what one build writes, *memory_mib* what one step uses.

    With a *service*, the address of a Docker-compatible one, the steps run there and buildah takes what comes out.
    """

    def __init__(
        self,
        cache: Cache,
        *,
        quota_mib: int,
        memory_mib: int,
        timeout_s: float,
        service: str = "",
        service_network: str = "none",
    ) -> None:
        self.service = service
        self._service_network = service_network
        self._cache = cache
        self._quota_mib = quota_mib
        self._memory_mib = memory_mib
        self._timeout_s = timeout_s
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopped: set[str] = set()

    def require(self, dockerfile: Dockerfile) -> None:
        """Raise ImageError when the service does not answer or cannot build a line of a file; blocks."""
        if self.service:
            docker_engine = _docker_engine()
            docker_engine.require(docker_engine.find(self.service), dockerfile.text)

    def build(
        self,
        name: str,
        dockerfile: Dockerfile,
        bases: Collection[Base],
        on_line: OnLine,
        *,
        link: Link | None = None,
        on_started: OnStarted = lambda _pid: None,
    ) -> Base:
        """Return the base that *dockerfile* describes; blocks. Raises ImageError with the step that failed.

        *name* says whose build it is, for `stop`; nobody else builds under it. *bases* are those of
        `dockerfile.images`. With a *link*, *on_started* must put an interface `eth0` into the network namespace of the
        process it is told.
        """
        remove_partials(self._cache, name)
        cgroups.remove(control_group(self._cache, name))
        with partial(self._cache.bases, name) as work:
            text, volumes = without_volumes(dockerfile.text)
            job = self._job(name, work, bases, link, volumes)
            jobs.write_job(job, text if self.service else text_for_buildah(text, bases))
            try:
                self._run(name, job, on_line, on_started)
            finally:
                cgroups.remove(job.cgroup)
                if self.service:
                    _docker_engine().forget(self.service, name)
            built = jobs.read_result(work)
            if built is None:
                raise ImageError("the build was stopped before it ended", "submit the template again")
            if built.reason:
                raise ImageError(built.reason, built.hint)
            return adopt_base(name, job.raw, built.size_bytes, built.config, self._cache)

    def stop(self, name: str) -> None:
        """End a build at once, or before it has begun."""
        self._stopped.add(name)
        if running := self._running.get(name):
            running.kill()

    def _job(self, name: str, work: Path, bases: Collection[Base], link: Link | None, volumes: tuple[str, ...]) -> Job:
        return Job(
            name=name,
            work=work,
            cache=self._cache.root,
            sources=tuple(_source(base) for base in bases),
            link=link,
            volumes=volumes,
            quota_mib=self._quota_mib,
            memory_mib=self._memory_mib,
            timeout_s=self._timeout_s,
            service=self.service,
            service_network=self._service_network,
            cgroup=control_group(self._cache, name),
        )

    def _run(self, name: str, job: Job, on_line: OnLine, on_started: OnStarted) -> None:
        """Run the confined part to its end and hand on its lines."""
        argv = [*_NAMESPACES, sys.executable, "-m", "createos_images.confined", str(job.work)]
        try:
            running = subprocess.Popen(
                argv, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except FileNotFoundError as exc:
            raise ImageError(f"the program {exc.filename} is not installed", "run make setup") from exc
        self._running[name] = running
        try:
            with running:
                if name in self._stopped:
                    running.kill()
                _wait_for_namespace(running)
                on_started(running.pid)
                _hand_on(running, on_line, self._timeout_s)
        finally:
            self._running.pop(name, None)
            self._stopped.discard(name)


def _docker_engine() -> ModuleType:
    """Return the module that speaks to services; its libraries cost 0.2 s, and most engines need none."""
    return import_module("createos_images.docker_engine")


def text_for_buildah(text: str, bases: Collection[Base]) -> str:
    """Return a text with the names by which buildah knows our images."""
    return renamed(text, {base.name: f"{jobs.HERE}{base.name}" for base in bases})


def control_group(cache: Cache, name: str) -> str:
    """Return the control group of builds of a name: always the same, so the next removes what a killed one left."""
    return f"/createos-build-{digest.of_text(f'{cache.root} {name}')[:12]}"


def result_key(dockerfile: Dockerfile, bases: Collection[Base]) -> str:
    """Return what two builds have in common that give the same result: text, images and builder."""
    return digest.of_text("\0".join([str(VERSION), dockerfile.text, *sorted(base.digest for base in bases)]))


def _source(base: Base) -> Source:
    return Source(base.name, base.digest, base.path, base.config.env, base.config.working_dir, base.config.user)


def sources_of(dockerfile: Dockerfile, find: Callable[[str], Base]) -> list[Base]:
    """Return the bases that a file begins from or copies from."""
    return [find(name) for name in dockerfile.images if name != SCRATCH]


def _wait_for_namespace(running: subprocess.Popen[bytes]) -> None:
    """Wait until the process has left our network namespace."""
    ours, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{running.pid}/ns/net")
    deadline = time.monotonic() + _START_S
    with suppress(OSError):
        while running.poll() is None and theirs.readlink() == ours.readlink():
            if time.monotonic() > deadline:
                running.kill()
                raise ImageError("the build did not start", "look at the load of this host")
            time.sleep(0.005)


def _environment() -> Mapping[str, str]:
    """Return nothing of the daemon's own environment: it may hold secrets, and a build must not depend on it."""
    path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": "/tmp", "PYTHONUNBUFFERED": "1"}


def _hand_on(running: subprocess.Popen[bytes], on_line: OnLine, timeout_s: float) -> None:
    assert running.stdout is not None
    lines = running.stdout
    late = Timer(timeout_s, running.kill)
    late.start()
    try:
        for line in iter(lambda: lines.readline(_LONGEST_LINE), b""):
            on_line(line.decode(errors="replace").rstrip("\r\n"))
        running.wait()
    finally:
        expired = late.finished.is_set()
        late.cancel()
    if expired:
        raise ImageError(f"the build did not end within {timeout_s:g} s", "split it, or raise build_timeout_s")
