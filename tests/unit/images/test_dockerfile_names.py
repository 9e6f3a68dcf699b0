"""Images of a Dockerfile get the names that a service knows them by; nothing else of the text changes."""

from __future__ import annotations

import pytest
from createos_images.dockerfile_names import renamed, without_volumes

NAMES = {"busybox:1": "here/b", "debian:12": "here/d"}

CASES = {
    "aliases and prefixes": ("FROM docker.io/library/busybox\n", "FROM here/b\n"),
    "any case and flags": (
        "from --platform=linux/amd64 debian:bookworm AS x\n",
        "from --platform=linux/amd64 here/d AS x\n",
    ),
    "a stage that is called like an image": (
        "FROM busybox:1 AS debian\nFROM debian\nCOPY --from=debian /a /b\n",
        "FROM here/b AS debian\nFROM debian\nCOPY --from=debian /a /b\n",
    ),
    "copies": (
        "FROM scratch\nCOPY --chown=1:1 --from=busybox:1 /from=busybox:1 /x\n",
        "FROM scratch\nCOPY --chown=1:1 --from=here/b /from=busybox:1 /x\n",
    ),
    "mounts": (
        "FROM busybox\nRUN --mount=type=cache,target=/c \\\n  --mount=from=debian,target=/d echo --from=debian\n",
        "FROM here/b\nRUN --mount=type=cache,target=/c \\\n  --mount=from=here/d,target=/d echo --from=debian\n",
    ),
    "stages by number": (
        "FROM busybox\nFROM busybox\nCOPY --from=0 /a /b\n",
        "FROM here/b\nFROM here/b\nCOPY --from=0 /a /b\n",
    ),
    "comments and directives": ("# FROM busybox\nARG A=busybox\nFROM busybox\n# busybox\nRUN busybox\n",) * 2,
}


@pytest.mark.parametrize(("text", "wanted"), CASES.values(), ids=CASES.keys())
def test_only_names_of_images_change(text: str, wanted: str) -> None:
    if text == wanted:
        wanted = text.replace("\nFROM busybox", "\nFROM here/b")

    assert renamed(text, NAMES).rstrip() == wanted.rstrip()


def test_a_line_can_be_put_behind_every_from() -> None:
    text = "FROM busybox AS a\n# why\nRUN x\nFROM a\nRUN y"

    assert renamed(text, NAMES, "LABEL l=1\n").splitlines() == [
        *("FROM here/b AS a", "# why", "LABEL l=1", "RUN x", "FROM a", "LABEL l=1", "RUN y"),
    ]


@pytest.mark.parametrize(
    ("text", "left", "volumes"),
    [
        ("FROM a\nRUN x\n", "FROM a\nRUN x\n\n", ()),
        ("FROM a\nVOLUME /v\nRUN x\n", "FROM a\nRUN x\n\n", ("/v",)),
        ("FROM a\nvolume /v \\\n  # c\n  /w\nRUN x\n", "FROM a\nRUN x\n\n", ("/v", "/w")),
        ('FROM a\nVOLUME ["/v", "/two words"]\n', "FROM a\n", ("/v", "/two words")),
        ("FROM a AS One\nVOLUME /v\nFROM one\nRUN y\n", "FROM a AS One\nFROM one\nRUN y\n\n", ("/v",)),
        ("FROM a AS one\nVOLUME /v\nFROM b\nRUN y\n", "FROM a AS one\nFROM b\nRUN y\n\n", ()),
    ],
)
def test_volumes_are_taken_out_and_those_of_the_last_stage_told(text: str, left: str, volumes: tuple[str, ...]) -> None:
    assert without_volumes(text) == (left, volumes)
