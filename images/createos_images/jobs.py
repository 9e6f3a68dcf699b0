"""What is asked of a confined build and what comes of it, as two JSON files in its working directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

INTERFACE = "eth0"
"""The link's name in the namespace of a build."""

HERE = "localhost/"
"""In front of the names of our own images."""

_JOB, _RESULT = "job.json", "result.json"
_ACCEPT_LOCAL = '{"default":[{"type":"insecureAcceptAnything"}]}\n'


@dataclass(frozen=True)
class Source:
    """An image that a build begins from."""

    name: str
    digest: str
    raw: Path
    env: Mapping[str, str]
    working_dir: str
    user: str


@dataclass(frozen=True)
class Link:
    """How a build reaches others: addresses with prefix lengths, gateways on the link, DNS servers."""

    mac: str
    addresses: tuple[str, ...]
    gateways: tuple[str, ...]
    resolvers: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One build. *work* is its directory, *quota_mib* what it may write, *cgroup* the parent of its control groups.

    Without a *link* only the loopback interface is there. With a *service*, the address of a Docker-compatible one, the
    steps run there, on its network *service_network*. *volumes* are directories that the image has in any case.
    """

    name: str
    work: Path
    cache: Path
    sources: tuple[Source, ...]
    link: Link | None
    quota_mib: int
    memory_mib: int
    timeout_s: float
    cgroup: str
    service: str = ""
    service_network: str = "none"
    volumes: tuple[str, ...] = ()

    @property
    def dockerfile(self) -> Path:
        """The text to build."""
        return self.work / "Dockerfile"

    @property
    def policy(self) -> Path:
        """Says that images of this host need no signatures."""
        return self.work / "policy.json"

    @property
    def raw(self) -> Path:
        """The ext4 file that comes out."""
        return self.work / "base.raw"


@dataclass(frozen=True)
class Built:
    """What came of it: a file system and its configuration, or a reason and what to do."""

    size_bytes: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    hint: str = ""


def files(job: Job, dockerfile: str) -> Mapping[Path, str]:
    """Return everything a build reads, by where it belongs."""
    said = json.dumps(asdict(job), default=str)
    return {job.work / _JOB: said, job.dockerfile: dockerfile, job.policy: _ACCEPT_LOCAL}


def write_job(job: Job, dockerfile: str) -> None:
    """Put everything a build reads into its directory."""
    for path, text in files(job, dockerfile).items():
        path.write_text(text, encoding="utf-8")


def read_job(work: Path) -> Job:
    """Read the job of a directory."""
    said = json.loads((work / _JOB).read_text(encoding="utf-8"))
    sources = tuple(Source(**source | {"raw": Path(source["raw"])}) for source in said["sources"])
    paths = {"work": Path(said["work"]), "cache": Path(said["cache"])}
    other = {"sources": sources, "link": _link(said["link"]), "volumes": tuple(said["volumes"])}
    return Job(**said | paths | other)


def _link(said: Mapping[str, Any] | None) -> Link | None:
    if said is None:
        return None
    return Link(said["mac"], tuple(said["addresses"]), tuple(said["gateways"]), tuple(said["resolvers"]))


def write_result(work: Path, built: Built) -> None:
    """Say what came of a build."""
    (work / _RESULT).write_text(json.dumps(asdict(built)), encoding="utf-8")


def read_result(work: Path) -> Built | None:
    """Return what came of a build, None when it did not live to say."""
    try:
        return Built(**json.loads((work / _RESULT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
