"""What is in a bundle, and how the words of a stranger become that: every name and number is checked here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from createos_images.errors import ImageError

FORMAT = 1
DAMAGED = "get the bundle again: it is damaged or was changed"
_WORD = r"[A-Za-z0-9_][A-Za-z0-9._+-]*"
_HEX = r"[0-9a-f]{64}"
_KNOWN = re.compile(
    rf"kernel/{_WORD}/vmlinux|kernel/{_WORD}/modules(/{_WORD})+|agent/{_HEX}/agent(\.json)?|bases/{_HEX}\.(raw|json)"
    rf"|tools/{_HEX}\.(img|json)"
)
NAMED = re.compile(rf"bases/({_HEX})\.raw|tools/({_HEX})\.img")
"""Files that are named by their own digest."""


@dataclass(frozen=True)
class BundledTemplate:
    """A template that goes along: its Dockerfile and the image that came of it."""

    name: str
    dockerfile: str
    base: str
    result_key: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class Entry:
    """One file. *extents* are the parts that hold data, as offset and length in bytes; the rest is zero."""

    path: str
    size: int
    digest: str
    extents: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Manifest:
    """What is in a bundle. *names* maps the names of images to digests of bases; *tools* is a digest, or empty."""

    kernel: str
    names: Mapping[str, str]
    templates: tuple[BundledTemplate, ...]
    files: tuple[Entry, ...]
    tools: str = ""


def parse(said: Mapping[str, Any]) -> Manifest:
    """Check every name and number before anything is done with it."""
    files = tuple(
        Entry(
            str(one["path"]),
            int(one["size"]),
            str(one["digest"]),
            tuple((int(begin), int(length)) for begin, length in one["extents"]),
        )
        for one in said["files"]
    )
    for entry in files:
        if not _KNOWN.fullmatch(entry.path) or not _in_order(entry):
            raise ImageError(f"the bundle has a file that does not belong there: {entry.path[:100]!r}", DAMAGED)
        named = digest_in_name(entry.path)
        if named and named != entry.digest:
            raise ImageError(f"the bundle gives {entry.path} another content than its name says", DAMAGED)
    kernel = str(said["kernel"])
    if f"kernel/{kernel}/vmlinux" not in {entry.path for entry in files}:
        raise ImageError("the bundle has no kernel", DAMAGED)
    names = {str(name): str(known) for name, known in said["names"].items()}
    templates = tuple(BundledTemplate(**one) for one in said["templates"])
    tools = str(said.get("tools", ""))
    present = {f"bases/{known}.raw" for known in (*names.values(), *(template.digest for template in templates))}
    present |= {f"tools/{tools}.{kind}" for kind in ("img", "json") if tools}
    if missing := present - {entry.path for entry in files}:
        raise ImageError(f"the bundle names images that it does not hold: {sorted(missing)[0]}", DAMAGED)
    return Manifest(kernel, names, templates, files, tools)


def digest_in_name(path: str) -> str:
    """Return the digest that a file's name says it has; empty when it says none."""
    named = NAMED.fullmatch(path)
    return (named[1] or named[2]) if named else ""


def _in_order(entry: Entry) -> bool:
    at = 0
    for begin, length in entry.extents:
        if begin < at or length <= 0:
            return False
        at = begin + length
    return at <= entry.size
