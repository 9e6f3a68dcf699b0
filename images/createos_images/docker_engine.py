"""Build a Dockerfile with a Docker-compatible service: Docker's own or podman's, at a unix socket or a TCP address.

The service runs the steps under its own rules; what comes out is taken from it as an archive, and nothing but the
images that builds begin from stays there. Docker's builder behind this interface is its classic one, which knows no
mounts of a step; podman's does.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from tarfile import TarFile, TarInfo
from tarfile import open as open_tar
from typing import Any

import docker
import requests
from docker.errors import DockerException, NotFound

from createos_images import digest
from createos_images.dockerfile import DockerfileError, instructions
from createos_images.dockerfile_names import renamed
from createos_images.errors import ImageError
from createos_images.failed_step import explained
from createos_images.jobs import Job, Source

BASES, RESULTS = "localhost/createos-base", "localhost/createos-build"
"""The names of what is kept in a service, and of what is there for the time of one build."""
LABEL = "createos-build"
"""What a build makes on its way carries the build's name here: Docker keeps that when a step fails."""

_QUICK_S = 30.0
_PODMAN = "Podman Engine"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STEP = re.compile(r"^step \d+/\d+ ?: (.*)$", re.IGNORECASE)
_EXIT_CODE = re.compile(r"returned a non-zero code: (\d+)")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Service:
    """A service that answers. `mounts` tells whether its builder knows RUN --mount."""

    url: str
    mounts: bool


def find(url: str) -> Service:
    """Return the service at *url*; ImageError when none answers there."""
    with _client(url) as client:
        said = client.version()
    parts = {part.get("Name") for part in said.get("Components") or ()}
    return Service(url, mounts=_PODMAN in parts)


def require(service: Service, text: str) -> None:
    """Raise DockerfileError for the first line that this service cannot build."""
    for instruction in instructions(text):
        if instruction.word == "RUN" and "mount" in instruction.flags and not service.mounts:
            raise DockerfileError(
                instruction.line,
                "RUN --mount is not known to the builder of this Docker service",
                "leave it out, or let createosd build with buildah or podman (setting builder)",
            )


def build(job: Job, trees: Callable[[Source], Any], say: Say) -> Path:
    """Build a job and return the archive that comes out; *trees* mounts an image for the time of a `with`.

    Raises ImageError with the step that failed.
    """
    with _client(job.service, timeout_s=job.timeout_s) as client:
        tags = {source.name: _ensure_base(client, source, trees, say) for source in job.sources}
        text = renamed(job.dockerfile.read_text(), tags, after_from=f"LABEL {LABEL}={job.name}\n")
        _run(client, job, text, partial(_say_own, {tag: name for name, tag in tags.items()}, say))
        archive = job.work / "image.tar"
        _save(client, _result(job.name), archive, job.quota_mib * 2**20)
    return archive


def forget(url: str, name: str) -> None:
    """Remove what a build has left in the service; a service that is gone, or has nothing of it, is fine."""
    mark = {"label": f"{LABEL}={name}"}
    with suppress(ImageError), _client(url) as client:
        with suppress(NotFound):
            client.remove_image(_result(name), force=True)
        deadline = time.monotonic() + _QUICK_S
        # The container of a step that was cut off holds on to its image for a moment.
        while client.images(all=True, filters=mark) and time.monotonic() < deadline:
            client.prune_images({"dangling": True, **mark})  # type: ignore[no-untyped-call]
            time.sleep(0.1)


def _result(name: str) -> str:
    return f"{RESULTS}:{name}"


@contextmanager
def _client(url: str, timeout_s: float = _QUICK_S) -> Iterator[docker.APIClient]:
    path = url.removeprefix("unix://")
    try:
        if path != url and not Path(path).is_socket():
            raise FileNotFoundError("there is no such socket")
        client = docker.APIClient(base_url=url, timeout=int(timeout_s))
        try:
            yield client
        finally:
            client.close()
    except (DockerException, requests.RequestException, OSError) as exc:
        reason = f"the Docker service at {url} failed: {_said(exc)}"
        raise ImageError(reason, "start it, or change the setting docker_host") from exc


def _said(exc: Exception) -> str:
    text = getattr(exc, "explanation", None) or str(exc)
    return str(text).splitlines()[0][:300] if str(text).strip() else type(exc).__name__


def _ensure_base(client: docker.APIClient, source: Source, trees: Callable[[Source], Any], say: Say) -> str:
    """Make a base known to the service, once for each content, under a name that is nobody else's."""
    settings = _settings(source)
    tag = f"{BASES}:{digest.of_text(json.dumps([source.digest, settings]))[:24]}"
    with suppress(NotFound):
        client.inspect_image(tag)  # type: ignore[no-untyped-call]
        return tag
    say(f"preparing {source.name}")
    with trees(source) as tree, _packed(tree) as stream:
        said = client.import_image_from_stream(stream, changes=settings)
    repository, _, version = tag.rpartition(":")
    client.tag(_imported(said), repository, version)
    return tag


def _settings(source: Source) -> list[str]:
    """Return the lines of a Dockerfile that say how programs run in a base."""
    env = [f'ENV {key}="{_quoted(value)}"' for key, value in sorted(source.env.items())]
    user = [f"USER {source.user}"] if source.user else []
    return [*env, f"WORKDIR {source.working_dir}", *user]


def _quoted(value: str) -> str:
    return re.sub(r'(["\\$])', r"\\\1", value)


@contextmanager
def _packed(tree: Path) -> Iterator[Any]:
    argv = ("tar", "-C", tree, "--numeric-owner", "--sparse", "--xattrs", "--xattrs-include=*", "-c", ".")
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as packing:
        yield packing.stdout
    if packing.returncode:
        raise ImageError("an image could not be packed for the Docker service", "look at the log of createosd")


def _imported(said: str) -> str:
    """Return the id in the last line of an import's answer: Docker's `status`, podman's `id`."""
    last = json.loads(said.strip().splitlines()[-1])
    found = last.get("id") or last.get("status") or ""
    if not str(found).startswith("sha256:"):
        raise ImageError(f"the Docker service did not take an image: {str(last)[:200]}", "look at its log")
    return str(found)


def _run(client: docker.APIClient, job: Job, text: str, say: Say) -> None:
    """Run the steps; the connection's end is the build's end, so that a build that is killed stops there too."""
    # podman's word: with layers it gives a new WORKDIR to the user of the step after it. Docker passes over it.
    client.params = {"layers": "false"}
    frames = client.build(
        fileobj=_context(text),
        custom_context=True,
        tag=_result(job.name),
        rm=True,
        forcerm=True,
        nocache=True,
        pull=False,
        network_mode=job.service_network,
        container_limits={"memory": job.memory_mib * 2**20},
        decode=True,
    )
    step = ""
    for frame in frames:
        for line in _lines(frame):
            step = match[1] if (match := _STEP.match(line)) else step
            say(line)
        if "error" in frame:
            raise ImageError(_why(str(frame["error"]), step), "correct the step and submit the template again")


def _lines(frame: Mapping[str, Any]) -> Iterable[str]:
    text = _COLOUR.sub("", str(frame.get("stream", "")))
    return [line for line in text.splitlines() if line.strip()]


def _say_own(names: Mapping[str, str], say: Say, line: str) -> None:
    """Say a line as the file has it: with its names of images, and not that there is a label."""
    if f" LABEL {LABEL}=" in line:
        return
    for tag, name in names.items() if _STEP.match(line) else ():
        line = line.replace(tag, name)
    say(line)


def _why(error: str, step: str) -> str:
    if match := _EXIT_CODE.search(error):
        return f"the step {step} failed with exit code {match[1]}"
    return explained(error.strip())


def _context(text: str) -> BytesIO:
    """Return an archive with the Dockerfile alone: there are no other files."""
    data, packed = text.encode(), BytesIO()
    tar: TarFile
    with open_tar(fileobj=packed, mode="w") as tar:
        entry = TarInfo("Dockerfile")
        entry.size = len(data)
        tar.addfile(entry, BytesIO(data))
    packed.seek(0)
    return packed


def _save(client: docker.APIClient, image: str, to: Path, limit_bytes: int) -> None:
    size = 0
    with to.open("wb") as file:
        for chunk in client.get_image(image):
            size += len(chunk)
            if size > limit_bytes:
                raise ImageError("the build wrote more than it may", "make it smaller, or raise build_quota_mib")
            file.write(chunk)
