"""What reviewers should not have to say: sizes, names and words of the source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from createos_engine.settings import Settings

TOP = Path(__file__).parents[2]
SETTINGS_PAGE = TOP / "docs" / "settings.md"
FOLDERS = ("engine", "cli", "netconfig", "images", "scripts", "tests")
LONGEST_MODULE_LINES = 300
REFUSED_NAMES = {"utils.py", "helpers.py", "common.py", "manager.py", "misc.py"}


def sources(*suffixes: str) -> list[Path]:
    """Return our source files, whether git knows them yet or not."""
    found = (path for folder in FOLDERS for path in (TOP / folder).rglob("*") if path.suffix in suffixes)
    return sorted(path for path in found if path.is_file())


MODULES = sources(".py", ".go", ".sh")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(TOP)))
def test_no_module_is_long(module: Path) -> None:
    length = len(module.read_text().splitlines())

    assert length <= LONGEST_MODULE_LINES


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [module for module in MODULES if module.name in REFUSED_NAMES] == []


def test_tests_are_not_packages() -> None:
    assert list((TOP / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize("package", ["engine", "cli", "netconfig", "images"])
def test_every_package_is_typed_for_those_who_import_it(package: str) -> None:
    assert (TOP / package / f"createos_{package}" / "py.typed").is_file()


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    assert "\n## Unreleased\n" in (TOP / "CHANGELOG.md").read_text()


def test_the_lock_names_no_host_and_hashes_every_package() -> None:
    lock = (TOP / "requirements.lock").read_text()
    entries = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)[1:]

    assert "://" not in lock
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_every_dependency_is_locked() -> None:
    text = (TOP / "pyproject.toml").read_text()
    wanted = set(re.findall(r'^    "([a-z0-9-]+)>=', text, re.MULTILINE))
    locked = set(re.findall(r"^([a-z0-9-]+)==", (TOP / "requirements.lock").read_text(), re.MULTILINE))

    assert wanted - locked == set()


def test_debian_packages_have_a_reason() -> None:
    lines = (TOP / "scripts" / "packages.txt").read_text().splitlines()

    assert [line for line in lines if not re.match(r"#|[a-z0-9.+-]+ +# \w", line)] == []


def test_every_path_that_contributors_are_sent_to_exists() -> None:
    named = set(re.findall(r"`([a-z.]+/[\w./-]*)`", (TOP / "CONTRIBUTING.md").read_text()))

    assert [name for name in sorted(named) if not (TOP / name).exists()] == []


@pytest.mark.skipif(not SETTINGS_PAGE.exists(), reason="the page of settings is not written yet")
def test_every_setting_is_documented() -> None:
    page = SETTINGS_PAGE.read_text()

    assert [name for name in Settings.model_fields if f"| {name} |" not in page] == []
