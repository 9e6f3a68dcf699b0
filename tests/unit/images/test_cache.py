from __future__ import annotations

import json
import multiprocessing
import os
import stat
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from createos_images.cache import Cache, building, directory, name_base, names, partial, publish, publish_text
from createos_images.errors import ImageError
from createos_images.progress import silent

FORK = multiprocessing.get_context("fork")


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_making_a_cache_value_touches_nothing(cache: Cache) -> None:
    assert not cache.root.exists()


def test_directories_are_readable_by_all_whatever_the_umask(cache: Cache) -> None:
    before = os.umask(0o077)
    try:
        made = directory(cache.bases)
    finally:
        os.umask(before)

    assert permissions(made) == permissions(cache.root) == 0o755


def test_results_are_readable_by_all_and_writable_by_none(cache: Cache) -> None:
    with partial(cache.kernels, "kernel") as work:
        (work / "6.1" / "modules").mkdir(parents=True)
        (work / "6.1" / "modules" / "virtio.ko").write_text("x")
        publish(work / "6.1", cache.kernels / "6.1")

    assert permissions(cache.kernels / "6.1" / "modules") == 0o755
    assert permissions(cache.kernels / "6.1" / "modules" / "virtio.ko") == 0o444


def test_an_unfinished_build_leaves_nothing(cache: Cache) -> None:
    with pytest.raises(FileNotFoundError), partial(cache.bases, "devbox:1") as work:
        (work / "tree" / "etc").mkdir()

    assert list(cache.bases.iterdir()) == []


def test_what_a_killed_build_left_is_removed_by_the_next_one(cache: Cache) -> None:
    killed = os.fork()
    if killed == 0:
        with building(cache, "devbox:1", silent), partial(cache.bases, "devbox:1") as work:
            (work / "half").write_text("x")
            os._exit(9)
    os.waitpid(killed, 0)
    assert len(list(cache.bases.iterdir())) == 1

    with building(cache, "devbox:1", silent):
        left = list(cache.bases.iterdir())

    assert left == []


def test_a_build_of_something_else_is_left_alone(cache: Cache) -> None:
    with partial(cache.bases, "debian:12") as work, building(cache, "devbox:1", silent):
        assert work.is_dir()


def test_two_processes_do_not_build_the_same_thing_at_once(cache: Cache, tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [FORK.Process(target=_build_once, args=(cache, log)) for _ in range(4)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    assert [worker.exitcode for worker in workers] == [0] * 4
    assert log.read_text() == "built\n"


def _build_once(cache: Cache, log: Path) -> None:
    target = cache.bases / "result"
    with building(cache, "thing", silent):
        if not target.exists():
            with log.open("a") as file:
                file.write("built\n")
            publish_text("x", target)


def test_waiting_for_another_build_is_told(cache: Cache, said: list[str]) -> None:
    held, told = FORK.Event(), FORK.Event()
    worker = FORK.Process(target=_hold_until, args=(cache, held, told))
    worker.start()
    assert held.wait(30)

    def tell(line: str) -> None:
        said.append(line)
        told.set()

    with building(cache, "devbox:1", tell):
        pass

    worker.join(30)
    assert said == ["waiting for another process that builds devbox:1"]


def _hold_until(cache: Cache, held: Event, told: Event) -> None:
    with building(cache, "devbox:1", silent):
        held.set()
        told.wait(30)


def test_the_index_says_which_base_a_name_means(cache: Cache) -> None:
    name_base(cache, "devbox:1", "aa", silent)
    name_base(cache, "debian:12", "bb", silent)
    name_base(cache, "devbox:1", "cc", silent)

    assert names(cache) == {"debian:12": "bb", "devbox:1": "cc"}
    assert json.loads(cache.names.read_text()) == names(cache)


def test_an_empty_cache_has_no_names(cache: Cache) -> None:
    assert names(cache) == {}


def test_a_damaged_index_is_named_with_the_remedy(cache: Cache) -> None:
    directory(cache.root)
    cache.names.write_text("{")

    with pytest.raises(ImageError, match=r"names\.json cannot be read") as caught:
        names(cache)
    assert "make setup" in caught.value.hint


def test_a_cache_that_cannot_be_made_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(ImageError, match="cannot be made: Not a directory") as caught,
        building(Cache(tmp_path / "file" / "cache"), "kernel", silent),
    ):
        pass
    assert "CREATEOS_CACHE_DIR" in caught.value.hint
