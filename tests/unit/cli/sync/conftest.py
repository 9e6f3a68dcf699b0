"""Two directories of this machine and the real agent between them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from createos_cli.output import Output
from createos_cli.profile import Endpoint
from createos_cli.surroundings import Surroundings
from createos_cli.sync.local_tree import LocalTree
from createos_cli.sync.manifest import Manifest
from createos_cli.sync.options import Options
from createos_cli.sync.outcome import Outcome
from createos_cli.sync.plan import Mode
from createos_cli.sync.report import Report
from createos_cli.sync.session import Synchroniser
from createos_cli.sync.skips import Skips
from createos_cli.wire import Transport

from tests.fakes.agent_host import GO, AgentHost, build_agent


@pytest.fixture(scope="session")
def agent_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if GO is None:
        pytest.skip("no Go toolchain")
    return build_agent(tmp_path_factory.mktemp("agent"))


@pytest.fixture(scope="session")
def agent(agent_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentHost]:
    host = AgentHost(agent_binary, tmp_path_factory.mktemp("host"))
    host.start()
    yield host
    host.close()


def quiet_output() -> tuple[Output, io.BytesIO]:
    """Return an output and what it says on stderr."""

    def connect(_: Endpoint) -> Transport:
        raise AssertionError("no server here")

    err = io.BytesIO()
    around = Surroundings({}, Path("/"), io.BytesIO(), io.BytesIO(), err, False, False, False, None, connect)
    return Output(around, as_json=False), err


class World:
    """A pair of directories: `local`, `remote`, and what synchronising them says."""

    def __init__(self, home: Path, agent: AgentHost) -> None:
        self.local, self.remote = home / "here", home / "there"
        self.local.mkdir()
        self.remote.mkdir()
        self.agent = agent
        self.manifest_path = home / "pair.manifest"
        self.lines: list[str] = []
        self.warnings = ""

    def sync(
        self, mode: Mode = Mode.TWO_WAY, *, allow_mass_delete: bool = False, exclude: tuple[str, ...] = ()
    ) -> Outcome:
        """Synchronise once, as a process of its own would."""
        output, err = quiet_output()
        skips = Skips(exclude, vcs=True)
        manifest = Manifest(self.manifest_path, {})
        tree = LocalTree(str(self.local), skips)
        tree.sweep()
        report = Report(output, self.lines.append, status=False, quiet=False)
        options = Options("sb-1", str(self.local), str(self.remote), mode, allow_mass_delete=allow_mass_delete)
        try:
            return Synchroniser(options, skips, manifest, tree, self.agent.connect, report).run_once()
        finally:
            tree.close()
            manifest.flush()
            self.warnings += err.getvalue().decode()

    def both(self) -> dict[str, str]:
        """Return what both sides have; they must be the same."""
        here, there = contents(self.local), contents(self.remote)
        assert here == there
        return here


def contents(root: Path) -> dict[str, str]:
    """Return everything below a directory: the mode and text of files, `-> target` of links, `/` for directories."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir():
            found[name] = "/"
        else:
            found[name] = f"{path.stat().st_mode & 0o777:o} {path.read_bytes().decode(errors='replace')}"
    return found


@pytest.fixture
def world(tmp_path: Path, agent: AgentHost) -> World:
    return World(tmp_path, agent)
