from __future__ import annotations

from typing import Any

import pytest
from createos_images import catalog, recipe
from createos_images.errors import ImageError
from createos_images.recipe import ImageConfig


@pytest.mark.parametrize("entry", catalog.CATALOG, ids=lambda entry: entry.name)
def test_every_built_in_has_a_readable_definition_and_one_sentence(entry: catalog.Rootfs) -> None:
    assert recipe.read(entry).config.env["PATH"]
    assert entry.description.endswith(".")
    assert "\n" not in entry.description


def test_the_default_is_built_in() -> None:
    assert catalog.rootfs(catalog.DEFAULT).name == "devbox:1"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ImageError) as caught:
        catalog.rootfs("ubuntu:26.04")

    assert caught.value.sentence == (
        "there is no built-in root file system ubuntu:26.04; "
        "choose one of devbox:1, debian:12, python:3, node:18, builder:1, busybox:1"
    )


def test_a_definition_becomes_a_recipe() -> None:
    said = {
        "builder": "mmdebstrap",
        "suite": "bookworm",
        "packages": ["git", "curl"],
        "env": {"LANG": "C.UTF-8"},
        "working_dir": "/root",
        "directories": {"var/tmp": "1777"},
        "files": {"etc/motd": "\nhello\n"},
        "modes": {"etc/motd": "0600"},
    }

    found = recipe.parse(said, "d1")

    assert (found.builder, found.digest, found.suite, found.packages) == (
        "mmdebstrap",
        "d1",
        "bookworm",
        ("git", "curl"),
    )
    assert found.config == ImageConfig({"LANG": "C.UTF-8"}, "/root", "")
    assert (found.directories, found.files, found.modes) == (
        {"var/tmp": 0o1777}, {"etc/motd": "hello\n"}, {"etc/motd": 0o600}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "builder is ''"),
        ({"builder": "docker"}, "builder is 'docker', it must be mmdebstrap or busybox"),
        ({"builder": "busybox", "colour": 1, "taste": 2}, "unknown key colour, taste"),
        ({"builder": "busybox", "files": {"/etc/passwd": ""}}, "must be relative"),
        ({"builder": "busybox", "modes": {"../etc/shadow": "0644"}}, "must be relative"),
    ],
)
def test_a_wrong_definition_is_refused_with_the_reason(said: dict[str, Any], reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        recipe.parse(said, "d1")
