from __future__ import annotations

from pathlib import Path

import pytest
from createos_images.builder import build_base, find_base, list_bases, store_tree
from createos_images.cache import Cache
from createos_images.errors import ImageError
from createos_images.progress import silent
from createos_images.recipe import ImageConfig

CONFIG = ImageConfig({"PATH": "/bin"}, "/srv", "app")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "program").write_text("x")
    return tmp_path / "tree"


def test_a_stored_tree_is_found_by_its_name(cache: Cache, tree: Path) -> None:
    stored = store_tree("scratch:test", tree, CONFIG, cache, silent)

    assert find_base("scratch:test", cache) == stored
    assert list_bases(cache) == [stored]
    assert stored.config == CONFIG
    assert stored.path == cache.bases / f"{stored.digest}.raw"
    assert stored.size_bytes == stored.path.stat().st_size


def test_a_base_that_was_never_built_is_not_found(cache: Cache) -> None:
    assert find_base("devbox:1", cache) is None
    assert list_bases(cache) == []


@pytest.mark.parametrize("lost", [".raw", ".json"])
def test_a_base_that_lost_a_file_counts_as_not_built(cache: Cache, tree: Path, lost: str) -> None:
    stored = store_tree("scratch:test", tree, CONFIG, cache, silent)
    stored.path.with_suffix(lost).unlink()

    assert find_base("scratch:test", cache) is None


def test_a_name_moves_to_the_newer_base_and_the_older_file_stays(cache: Cache, tree: Path) -> None:
    older = store_tree("scratch:test", tree, CONFIG, cache, silent)
    (tree / "program").write_text("y")

    newer = store_tree("scratch:test", tree, CONFIG, cache, silent)

    assert find_base("scratch:test", cache) == newer
    assert older.path.is_file()


def test_building_without_root_says_so(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(ImageError) as caught:
        build_base("devbox:1", cache, silent)

    assert caught.value.sentence == (
        "the image devbox:1 is not built yet and building it needs root; run sudo make setup"
    )
