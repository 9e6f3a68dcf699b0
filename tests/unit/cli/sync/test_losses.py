"""What must not happen by accident: a removal of nearly everything."""

from __future__ import annotations

import pytest
from createos_cli.sync.failures import Stop

from tests.unit.cli.sync.conftest import World, contents


@pytest.mark.parametrize("emptied", ["local", "remote"])
def test_most_files_gone_stops_before_anything_is_removed(world: World, emptied: str) -> None:
    for number in range(20):
        (world.local / f"f{number}").write_text(str(number))
    world.sync()
    root, other = (world.local, world.remote) if emptied == "local" else (world.remote, world.local)
    for number in range(15):
        (root / f"f{number}").unlink()

    with pytest.raises(Stop, match="15 of 20 files are gone"):
        world.sync()

    assert len(contents(other)) == 20
    world.sync(allow_mass_delete=True)
    assert len(world.both()) == 5


def test_moving_everything_elsewhere_is_no_mass_delete(world: World) -> None:
    (world.local / "src").mkdir()
    for number in range(20):
        (world.local / "src" / f"f{number}").write_text(f"text {number}")
    world.sync()

    (world.local / "src").rename(world.local / "lib")
    outcome = world.sync()

    assert outcome.renamed == 20
    assert len(world.both()) == 21


def test_a_root_that_vanished_there_removes_nothing_here(world: World) -> None:
    (world.local / "a").write_text("x")
    world.sync()
    (world.remote / "a").unlink()
    world.remote.rmdir()

    with pytest.raises(Stop, match="is gone in the sandbox; nothing was removed here"):
        world.sync()

    assert (world.local / "a").read_text() == "x"
