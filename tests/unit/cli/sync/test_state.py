"""What a synchronisation keeps, and that it goes on after whatever ended it."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from createos_cli.sync.entries import Agreed, Kind, Version
from createos_cli.sync.failures import Stop
from createos_cli.sync.manifest import Manifest
from createos_cli.sync.state import locked

from tests.unit.cli.sync.conftest import World

AGREED = Agreed(Kind.FILE, 0o644, 3, b"\1" * 32, "", Version(3, 1, 2, 4), None)


def test_two_processes_on_one_pair_are_refused(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "lock"),
        pytest.raises(Stop, match="already being synchronised"),
        locked(tmp_path / "lock"),
    ):
        pass

    with locked(tmp_path / "lock"):
        pass


def test_a_torn_last_line_is_forgotten_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "pair.manifest"
    manifest = Manifest(path, {})
    manifest.agree("a\udce9\n", AGREED)
    manifest.agree("gone", AGREED)
    manifest.forget("gone")
    manifest.flush()
    with path.open("a") as file:
        file.write('["b", 1, 420')

    assert dict(Manifest(path, {})) == {"a\udce9\n": AGREED}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_manifest_that_is_none_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "pair.manifest").write_text("something else\n")

    with pytest.raises(Stop, match="cannot be read"):
        Manifest(tmp_path / "pair.manifest", {})


def test_connections_that_break_in_the_middle_lose_nothing(world: World) -> None:
    for number in range(300):
        (world.local / f"up{number}").write_text("x" * number)
        (world.remote / f"down{number}").write_text("y" * number)
    cut = threading.Timer(0.05, world.agent.drop_connections)
    cut.start()

    world.sync()
    cut.join()

    assert len(world.both()) == 600
