"""People find every target where they look for it, and every script does what the Makefile promises."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
TARGETS = re.findall(r"^([a-z-]+):.*## ", (TOP / "Makefile").read_text(), re.MULTILINE)
SCRIPTS = sorted((TOP / "scripts").glob("*.sh"))


def test_the_targets_of_the_issue_exist() -> None:
    assert {"help", "setup", "up", "test", "check", "bench", "clean"} <= set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_documented(target: str) -> None:
    documents = "".join((TOP / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))

    assert f"make {target}" in documents


def test_every_phony_target_has_a_sentence() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (TOP / "Makefile").read_text(), re.MULTILINE)

    assert phony
    assert sorted(phony[1].split()) == sorted(TARGETS)


def test_make_alone_lists_the_targets() -> None:
    done = subprocess.run(["make", "-C", TOP], capture_output=True, text=True, timeout=120, check=True)

    assert [target for target in TARGETS if f"make {target} " not in done.stdout] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_valid_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", script], timeout=120, check=True)
