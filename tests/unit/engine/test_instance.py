"""One daemon per state directory, with an identity that stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from createos_engine.errors import HostFailed
from createos_engine.instance import make_directories, own
from createos_engine.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "state", tmp_path / "run")
    make_directories(paths)
    return paths


def test_the_identity_stays_over_restarts(paths: Paths) -> None:
    with own(paths) as first:
        pass
    with own(paths) as second:
        pass

    assert first == second
    assert len(first) == 4


def test_a_second_daemon_is_refused_and_told_where_the_first_is(paths: Paths) -> None:
    with own(paths), pytest.raises(HostFailed, match="another createosd uses"), own(paths):
        pass


@pytest.mark.parametrize("content", [b"", b"ab", b"A*/;", b"\xff\xff\xff\xff"])
def test_a_damaged_identity_is_replaced(paths: Paths, content: bytes) -> None:
    paths.instance.write_bytes(content)

    with own(paths) as identity:
        assert identity.isascii()
        assert identity.isalnum()
        assert paths.instance.read_text().strip() == identity


def test_directories_can_be_passed_through_but_not_listed_by_others(paths: Paths) -> None:
    assert {path.stat().st_mode & 0o777 for path in (paths.state_dir, paths.sandboxes, paths.run_dir)} == {0o711}


def test_nobody_but_the_daemon_comes_to_the_channels(paths: Paths) -> None:
    assert paths.channels.stat().st_mode & 0o777 == 0o700


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(HostFailed, match="cannot be made"):
        make_directories(Paths(tmp_path / "file" / "state", tmp_path / "run"))
