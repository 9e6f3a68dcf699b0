"""A host without any route gets everything from one file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.vm.engine import LiveEngine, live_engine, wait_for


def createosd(*words: str | Path) -> str:
    """Run a command of the daemon's program."""
    argv = [sys.executable, "-m", "createos_engine.main", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_a_template_moves_to_a_host_without_a_network(engine: LiveEngine, tmp_path: Path) -> None:
    engine.call("POST", "/v1/templates", {"name": "travels", "dockerfile": "FROM busybox:1\nRUN echo far >/away\n"})
    wait_for(lambda: engine.call("GET", "/v1/templates/travels")["status"] == "ready", 60, "the build")
    bundle = tmp_path / "createos.bundle"
    state = ("--state-dir", engine.state)
    createosd("bundle", "export", bundle, "--rootfs", "busybox:1", "--template", "travels", *state)
    engine.call("DELETE", "/v1/templates/travels")

    assert subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout.count("default") == 0
    cache = engine.home / "imported"
    said = createosd("bundle", "import", bundle, "--cache-dir", cache, "--state-dir", engine.home / "elsewhere")
    with live_engine(cache_dir=cache) as other:
        createosd("bundle", "import", bundle, "--cache-dir", cache, "--state-dir", other.state)
        box = other.create(rootfs="travels")

        assert "templates  travels" in said
        assert box.sh("cat /away") == "far\n"
        box.destroy()
