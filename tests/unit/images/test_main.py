from __future__ import annotations

from pathlib import Path

import pytest
from createos_images.__main__ import main
from createos_images.builder import store_tree
from createos_images.cache import Cache
from createos_images.progress import silent
from createos_images.recipe import ImageConfig


def test_an_unknown_image_is_one_sentence_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--cache", str(tmp_path), "build", "windows:11"])

    printed = capsys.readouterr()
    assert code == 1
    assert printed.err == (
        "error: there is no built-in root file system windows:11; "
        "choose one of devbox:1, debian:12, python:3, node:18, builder:1, busybox:1\n"
    )


def test_the_list_shows_name_size_and_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = Cache(tmp_path / "cache")
    (tmp_path / "tree").mkdir()
    base = store_tree("scratch:test", tmp_path / "tree", ImageConfig(), cache, silent)

    code = main(["--cache", str(cache.root), "list"])

    assert code == 0
    assert capsys.readouterr().out.split() == ["scratch:test", str(base.size_bytes // 2**20), "MiB", str(base.path)]


def test_paths_of_an_empty_cache_are_refused_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--cache", str(tmp_path), "path"]) == 1
    assert capsys.readouterr().err == f"error: there is no kernel in {tmp_path}; run make setup\n"
