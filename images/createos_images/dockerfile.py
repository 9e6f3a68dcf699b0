"""A Dockerfile as text: what is in it, and what of it cannot be built here. Everything is said with its line."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from io import BytesIO

from dockerfile_parse import DockerfileParser

from createos_images.catalog import CATALOG, build_command
from createos_images.errors import ImageError

LARGEST_BYTES = 65_536  # wire-api 15
SCRATCH = "scratch"
ALIASES: Mapping[str, str] = {
    "nodeops/sandbox:debian": "devbox:1",
    "debian": "debian:12",
    "debian:bookworm": "debian:12",
    "debian:bookworm-slim": "debian:12",
    "debian:12-slim": "debian:12",
    **dict.fromkeys(("python", "python:3-slim", "python:3.11", "python:3.11-slim", "python:3-bookworm"), "python:3"),
    **dict.fromkeys(("node:18-slim", "node:18-bookworm"), "node:18"),
    "busybox": "busybox:1",
    "busybox:latest": "busybox:1",
}
"""Other names of images that are built here, as Dockerfiles written elsewhere use them."""

WORDS = frozenset(
    (
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
        *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    )
)
_PLATFORMS = ("linux/amd64", "linux/x86_64", "linux")
_HEREDOC = re.compile(r"<<-?\s*[\"']?[A-Za-z_]\w*")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S+))?\s*")
_ESCAPE = re.compile(r"(?:#\s*\w+\s*=.*\n)*#\s*escape\s*=\s*`", re.IGNORECASE)
_BYTE_ORDER_MARK = "\ufeff"
_VARIABLE = re.compile(r"\$\{?[A-Za-z_]")
_NO_CONTEXT = "only the Dockerfile's text is sent, there are no files to take it from"


class DockerfileError(ImageError):
    """A Dockerfile that cannot be built here; `line` counts from 1, 0 is the file as a whole."""

    def __init__(self, line: int, reason: str, hint: str = "") -> None:
        super().__init__(f"line {line}: {reason}" if line else reason, hint)
        self.line = line


@dataclass(frozen=True)
class Instruction:
    """One instruction: its upper-case word, its flags, what follows them, and its first line (from 1)."""

    word: str
    flags: Mapping[str, str]
    value: str
    line: int


@dataclass(frozen=True)
class Dockerfile:
    """A checked file. *images* are the images it begins from or copies from; *base* that of its last stage."""

    text: str
    images: tuple[str, ...]
    base: str


def check(text: str, known: Collection[str]) -> Dockerfile:
    """Return the file if it can be built from the images *known*; raise DockerfileError for its first mistake."""
    if len(text.encode()) > LARGEST_BYTES:
        raise DockerfileError(0, f"the Dockerfile has more than {LARGEST_BYTES} bytes", "shorten it")
    text = text.removeprefix(_BYTE_ORDER_MARK)
    found = instructions(text)
    if not any(instruction.word == "FROM" for instruction in found):
        raise DockerfileError(0, "the Dockerfile has no FROM", f"begin with one of: {_list(known)}")
    return _Check(frozenset(known)).run(text, found)


def resolved(image: str, known: Collection[str]) -> str:
    """Return the name under which an image is built here, empty when it is not."""
    name = image.removeprefix("docker.io/library/").removeprefix("docker.io/").removeprefix("library/")
    name = ALIASES.get(name, name)
    return name if name in known or name == SCRATCH else ""


class _Check:
    """Walks through the instructions once and remembers the stages."""

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known
        self._stages: list[str] = []
        self._images: list[str] = []
        self._base = ""

    def run(self, text: str, found: Sequence[Instruction]) -> Dockerfile:
        """Check every instruction in its order."""
        rules = {"FROM": self._from, "COPY": self._copy, "ADD": _refuse_add, "RUN": self._run, "ONBUILD": _refuse_later}
        for instruction in found:
            _require_sense(instruction)
            if not self._stages and instruction.word not in ("FROM", "ARG"):
                raise DockerfileError(instruction.line, f"{instruction.word} comes before FROM", "begin with FROM")
            if rule := rules.get(instruction.word):
                rule(instruction)
        return Dockerfile(text, tuple(dict.fromkeys(self._images)), self._base)

    def _from(self, instruction: Instruction) -> None:
        words = instruction.value.split()
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
            raise DockerfileError(instruction.line, "FROM takes an image, and AS NAME", "for example: FROM debian:12")
        if _VARIABLE.search(instruction.value):
            raise DockerfileError(instruction.line, "FROM may not use an ARG", "write the image's name")
        platform = instruction.flags.get("platform", _PLATFORMS[0])
        if platform not in _PLATFORMS:
            raise DockerfileError(
                instruction.line, f"the platform {platform} is not built here", "leave --platform out"
            )
        earlier = words[0] in self._stages
        self._base = self._base if earlier else self._image(words[0], instruction.line)
        self._stages.append(words[2] if len(words) == 3 else str(len(self._stages)))

    def _image(self, name: str, line: int) -> str:
        found = resolved(name, self._known)
        if not found:
            own = resolved(name, [entry.name for entry in CATALOG])
            hint = build_command(own) if own else f"use one of: {_list(self._known)}"
            raise DockerfileError(line, f"the image {name} is not on this host, and none is downloaded", hint)
        self._images.append(found)
        return found

    def _copy(self, instruction: Instruction) -> None:
        source = instruction.flags.get("from")
        if source is None:
            raise DockerfileError(
                instruction.line, f"COPY without --from: {_NO_CONTEXT}", "use RUN, COPY --from=STAGE, or push the files"
            )
        self._source(source, instruction.line)

    def _source(self, source: str, line: int) -> None:
        number = source.isdecimal() and int(source) < len(self._stages) - 1
        if number or source in self._stages[:-1]:
            return
        if source.isdecimal() or source == self._stages[-1]:
            raise DockerfileError(line, f"there is no earlier stage {source}", "name a stage above this one")
        self._image(source, line)

    def _run(self, instruction: Instruction) -> None:
        for flag, value in instruction.flags.items():
            if flag != "mount":
                raise DockerfileError(instruction.line, f"RUN --{flag} is not supported", "leave it out")
            for mount in value.split():
                self._mount(_options(mount), instruction.line)

    def _mount(self, mount: Mapping[str, str], line: int) -> None:
        kind = mount.get("type", "bind")
        if kind in ("cache", "tmpfs"):
            return
        if kind != "bind":
            raise DockerfileError(line, f"RUN --mount=type={kind} is not supported", "use type=cache, tmpfs or bind")
        if "from" not in mount:
            raise DockerfileError(line, f"RUN --mount=type=bind without from: {_NO_CONTEXT}", "name a stage with from=")
        self._source(mount["from"], line)


def _require_sense(instruction: Instruction) -> None:
    """Refuse unknown words, instructions without a value, and heredocs, whose lines would look like instructions."""
    word, line = instruction.word, instruction.line
    if word not in WORDS:
        near = get_close_matches(word, WORDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"the instructions are {', '.join(sorted(WORDS))}"
        raise DockerfileError(line, f"unknown instruction {word[:40]}", hint)
    if not instruction.value:
        raise DockerfileError(line, f"{word} has no value", f"write what to do behind {word}")
    if word in ("RUN", "COPY", "ADD") and _HEREDOC.search(instruction.value):
        raise DockerfileError(line, "heredocs (<<) are not supported", "write the lines with printf, joined by && \\")


def _refuse_add(instruction: Instruction) -> None:
    hint = "download with RUN curl -fsSL, or use COPY --from=STAGE"
    raise DockerfileError(instruction.line, f"ADD is not supported: {_NO_CONTEXT}", hint)


def _refuse_later(instruction: Instruction) -> None:
    if instruction.value.split()[0].upper() in ("COPY", "ADD", "FROM", "ONBUILD"):
        raise DockerfileError(
            instruction.line, f"ONBUILD {instruction.value.split()[0]} is not supported", "leave it out"
        )


def instructions(text: str) -> Sequence[Instruction]:
    """Return what the parser finds; whatever it passes over in silence is a DockerfileError."""
    lines = text.splitlines()
    parser = DockerfileParser(fileobj=BytesIO(_filled(text).encode()))
    covered: set[int] = set()
    found: list[Instruction] = []
    for part in parser.structure:
        covered.update(range(part["startline"], part["endline"] + 1))
        if part["instruction"] != "COMMENT":
            found.append(_instruction(part["instruction"], part["value"], part["startline"] + 1))
    for number, line in enumerate(lines):
        if line.strip() and number not in covered:
            raise DockerfileError(number + 1, f"{line.strip()[:40]!r} is no instruction", "an instruction has a value")
    return found


def _filled(text: str) -> str:
    """Put comments where a continued instruction has empty lines, which the parser takes for its end."""
    escape = "`" if _ESCAPE.match(text) else "\\"
    out, continued = [], False
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if continued and not bare:
            out.append(f"#{line}")
            continue
        if not bare.startswith("#"):
            continued = bare.endswith(escape)
        out.append(line)
    return "".join(out)


def _instruction(word: str, value: str, line: int) -> Instruction:
    flags: dict[str, str] = {}
    while (match := _FLAG.match(value)) and word in ("FROM", "COPY", "ADD", "RUN", "HEALTHCHECK"):
        name, given = match[1], match[2] or ""
        flags[name] = f"{flags[name]} {given}" if name in flags else given
        value = value[match.end() :]
    return Instruction(word, flags, value.strip(), line)


def _options(mount: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in mount.split(","))
    return {key: value for key, _, value in pairs}


def _list(known: Collection[str]) -> str:
    return ", ".join(sorted(known)) or "none is built yet"
