"""Which Dockerfiles can be built here, and how the others are refused: by line, reason and remedy."""

from __future__ import annotations

import pytest
from createos_images.dockerfile import LARGEST_BYTES, DockerfileError, check, resolved

KNOWN = ("debian:12", "devbox:1", "busybox:1", "python:3", "node:18")

GOOD = {
    "one step": "FROM debian:12\nRUN echo hi\n",
    "lower case and aliases": "from debian:bookworm-slim\nrun true\n",
    "hosted name": "FROM nodeops/sandbox:debian\nRUN true\n",
    "registry prefix": "FROM docker.io/library/busybox\n",
    "comments and continuations": "# syntax=docker/dockerfile:1\nFROM busybox:1\n\nRUN a \\\n  # between\n  && b\n",
    "escape directive": "# escape=`\nFROM busybox:1\nRUN a `\n  b\n",
    "arg before from": "ARG VERSION=1\nFROM busybox:1\nARG VERSION\nRUN echo $VERSION\n",
    "stages": "FROM busybox:1 AS a\nFROM busybox:1\nCOPY --from=a --chown=1:1 /x /y\nCOPY --from=0 /x /z\n",
    "stage on a stage": "FROM busybox:1 AS a\nRUN true\nFROM a\nRUN true\n",
    "from scratch": "FROM busybox:1 AS a\nFROM scratch\nCOPY --from=a /bin/busybox /init\n",
    "copy from an image": "FROM scratch\nCOPY --from=busybox:1 /bin /bin\n",
    "mounts": "FROM busybox:1 AS a\nFROM busybox:1\nRUN --mount=type=cache,target=/c --mount=from=a,target=/a true\n",
    "tmpfs": "FROM busybox:1\nRUN --mount=type=tmpfs,target=/t true\n",
    "all that says how to run": (
        'FROM busybox:1\nENV A=1 B="two words"\nWORKDIR /w\nUSER nobody\nSHELL ["/bin/ash", "-c"]\nEXPOSE 80/tcp\n'
        'LABEL a=b\nVOLUME /v\nSTOPSIGNAL SIGINT\nHEALTHCHECK --interval=5s CMD true\nENTRYPOINT ["/bin/sh"]\n'
        'CMD ["-c", "true"]\nMAINTAINER me\nONBUILD RUN true\n'
    ),
    "exec form": 'FROM busybox:1\nRUN ["/bin/sh", "-c", "echo <x> >/y"]\n',
    "other names of Debian's languages": "FROM python:3.11-slim AS a\nFROM node:18-slim\nCOPY --from=a /x /y\n",
    "platform of this host": "FROM --platform=linux/amd64 busybox:1\n",
    "empty lines in a continued step": "FROM busybox:1\nRUN a \\\n\n  # between\n\n  && b\nRUN c\n",
    "windows line ends": "FROM busybox:1\r\nRUN true\r\n",
}

BAD = {
    "": (0, "no FROM"),
    "# only a comment\n": (0, "no FROM"),
    "RUN true\nFROM busybox:1\n": (1, "RUN comes before FROM"),
    "FROM ubuntu:24.04\n": (1, "ubuntu:24.04 is not on this host"),
    "ARG X=busybox:1\nFROM $X\n": (2, "FROM may not use an ARG"),
    "FROM busybox:1 IS a\n": (1, "FROM takes an image"),
    "FROM --platform=linux/arm64 busybox:1\n": (1, "linux/arm64"),
    "FROM busybox:1\nCOPY . /app\n": (2, "COPY without --from"),
    "FROM busybox:1\nADD https://example.org/x /x\n": (2, "ADD is not supported"),
    "FROM busybox:1\n\n# c\nRUM true\n": (4, "unknown instruction RUM"),
    "FROM busybox:1\nRUN\n": (2, "RUN has no value"),
    "FROM busybox:1\nwhat\n": (2, "unknown instruction WHAT"),
    "FROM busybox:1\nRUN cat <<EOF >/x\nhello there\nEOF\n": (2, "heredocs"),
    "FROM busybox:1\nCOPY <<-'END' /x\nEND\n": (2, "heredocs"),
    "FROM busybox:1\nRUN --mount=type=secret,id=k true\n": (2, "type=secret"),
    "FROM busybox:1\nRUN --mount=type=ssh true\n": (2, "type=ssh"),
    "FROM busybox:1\nRUN --mount=type=bind,target=/x true\n": (2, "type=bind without from"),
    "FROM busybox:1\nRUN --network=host true\n": (2, "RUN --network"),
    "FROM busybox:1\nRUN --security=insecure true\n": (2, "RUN --security"),
    "FROM busybox:1 AS a\nCOPY --from=a /x /y\n": (2, "no earlier stage a"),
    "FROM busybox:1\nCOPY --from=3 /x /y\n": (2, "no earlier stage 3"),
    "FROM busybox:1\nCOPY --from=alpine /x /y\n": (2, "alpine is not on this host"),
    "FROM busybox:1\nONBUILD COPY . /x\n": (2, "ONBUILD COPY"),
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_what_can_be_built_here_passes(text: str) -> None:
    assert check(text, KNOWN).text == text


@pytest.mark.parametrize(("text", "said"), BAD.items(), ids=[repr(text[:40]) for text in BAD])
def test_what_cannot_is_refused_with_its_line_and_reason(text: str, said: tuple[int, str]) -> None:
    line, reason = said

    with pytest.raises(DockerfileError) as refused:
        check(text, KNOWN)

    assert refused.value.line == line
    assert reason in refused.value.reason
    assert refused.value.hint


def test_a_misspelt_instruction_gets_the_nearest_word() -> None:
    with pytest.raises(DockerfileError) as refused:
        check("FROM busybox:1\nENTRYPIONT x\n", KNOWN)

    assert refused.value.hint == "did you mean ENTRYPOINT?"


def test_a_file_above_the_limit_is_refused_as_a_whole() -> None:
    with pytest.raises(DockerfileError) as refused:
        check("FROM busybox:1\n#" + "x" * LARGEST_BYTES, KNOWN)

    assert refused.value.line == 0


def test_a_file_tells_its_images_and_the_one_it_stands_on() -> None:
    found = check("FROM debian AS a\nFROM busybox AS b\nFROM b\nCOPY --from=a /x /\nCOPY --from=devbox:1 /y /\n", KNOWN)

    assert (found.images, found.base) == (("debian:12", "busybox:1", "devbox:1"), "busybox:1")


def test_only_images_of_this_host_resolve() -> None:
    assert [resolved(name, KNOWN) for name in ("debian", "docker.io/busybox:1", "scratch", "alpine")] == [
        "debian:12",
        "busybox:1",
        "scratch",
        "",
    ]


def test_an_image_that_is_ours_and_not_built_comes_with_the_command_that_builds_it() -> None:
    with pytest.raises(DockerfileError) as failed:
        check("FROM python:3.11-slim\n", {"busybox:1"})

    assert failed.value.reason == "line 1: the image python:3.11-slim is not on this host, and none is downloaded"
    assert failed.value.hint == "run: sudo .venv/bin/python -m createos_images build python:3"


def test_a_byte_order_mark_is_no_part_of_the_file() -> None:
    assert check("\ufeffFROM busybox:1\nRUN true\n", KNOWN).text == "FROM busybox:1\nRUN true\n"


def test_the_line_of_a_mistake_counts_empty_lines_of_the_step_before_it() -> None:
    with pytest.raises(DockerfileError) as refused:
        check("FROM busybox:1\nRUN a \\\n\n && b\nRUM c\n", KNOWN)

    assert refused.value.line == 5
