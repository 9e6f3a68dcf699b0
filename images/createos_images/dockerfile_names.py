"""Rewrite a checked Dockerfile for a builder: other names for its images, another place for its volumes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from createos_images.dockerfile import instructions, resolved

_FROM = re.compile(r"^(\s*FROM\s+(?:--\S+\s+)*)(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_VOLUME = re.compile(r"\s*VOLUME\s", re.IGNORECASE)
_FLAGS = re.compile(r"^(\s*(?:COPY|RUN)\s+)((?:--\S+(?:\s|[\\`]\n)+)+)", re.IGNORECASE)
_SOURCE = re.compile(r"(?<=from=)([^\s,]+)")


def renamed(text: str, names: Mapping[str, str], after_from: str = "") -> str:
    """Return a text that begins and copies from *names* instead of their keys; what stages are called stays.

    *after_from* is a line that every stage gets.
    """
    head, *parts = split(text)
    stages: set[str] = set()

    def name(image: str) -> str:
        return image if image in stages else names.get(resolved(image, names), image)

    out = [head]
    for part in parts:
        if match := _FROM.match(part):
            out.append(f"{match[1]}{name(match[2])}{part[match.end(2) :]}{after_from}")
            stages.add(match[3] or "")
        else:
            out.append(_FLAGS.sub(lambda flags: flags[1] + _SOURCE.sub(lambda found: name(found[1]), flags[2]), part))
    return "".join(out)


def without_volumes(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a text without its VOLUMEs, and where those are that its last stage declares or stands on.

    A sandbox has no volumes: what a step writes there is part of the image, as with BuildKit. The directories are made
    at the end of the build, for buildah gives them an owner whom its user namespace does not know.
    """
    head, *parts = split(text)
    out, own = [head], list[str]()
    declared: dict[str, list[str]] = {}
    for part in parts:
        if match := _FROM.match(part):
            own = declared.setdefault((match[3] or "").lower(), [*declared.get(match[2].lower(), ())])
        if match := _VOLUME.match(part):
            own += _words(part[match.end() :])
        else:
            out.append(part)
    return "".join(out), tuple(dict.fromkeys(own))


def _words(value: str) -> list[str]:
    lines = (line for line in value.splitlines() if not line.lstrip().startswith("#"))
    plain = " ".join(line.rstrip().rstrip("\\`") for line in lines).strip()
    try:
        said = json.loads(plain)
    except ValueError:
        return plain.split()
    return [word for word in said if isinstance(word, str)] if isinstance(said, list) else []


def split(text: str) -> list[str]:
    """Return what is before the first instruction, and each instruction with what follows it."""
    lines = f"{text}\n".splitlines(keepends=True)
    starts = [instruction.line - 1 for instruction in instructions(text)]
    begins = [0, *starts]
    return ["".join(lines[begin:end]) for begin, end in zip(begins, [*starts, len(lines)], strict=True)]
