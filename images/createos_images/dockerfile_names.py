"""Give the images of a checked Dockerfile other names, in its text, where a service knows them by those."""

from __future__ import annotations

import re
from collections.abc import Mapping

from createos_images.dockerfile import instructions, resolved

_FROM = re.compile(r"^(\s*FROM\s+(?:--\S+\s+)*)(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_FLAGS = re.compile(r"^(\s*(?:COPY|RUN)\s+)((?:--\S+(?:\s|[\\`]\n)+)+)", re.IGNORECASE)
_SOURCE = re.compile(r"(?<=from=)([^\s,]+)")


def renamed(text: str, names: Mapping[str, str], after_from: str = "") -> str:
    """Return a text that begins and copies from *names* instead of their keys; what stages are called stays.

    *after_from* is a line that every stage gets.
    """
    lines = f"{text}\n".splitlines(keepends=True)
    starts = [instruction.line - 1 for instruction in instructions(text)]
    stages: set[str] = set()

    def name(image: str) -> str:
        return image if image in stages else names.get(resolved(image, names), image)

    out = lines[: starts[0]] if starts else lines
    for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        part = "".join(lines[begin:end])
        if match := _FROM.match(part):
            out.append(f"{match[1]}{name(match[2])}{part[match.end(2) :]}{after_from}")
            stages.add(match[3] or "")
        else:
            out.append(_FLAGS.sub(lambda flags: flags[1] + _SOURCE.sub(lambda found: name(found[1]), flags[2]), part))
    return "".join(out)
