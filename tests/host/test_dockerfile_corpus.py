"""Dockerfiles as people write them, every instruction among them, each with what has to come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from createos_images.cache import Cache
from createos_images.dockerfile import WORDS, instructions
from createos_images.errors import ImageError

from tests.host.buildlab import BuildLab, contents, images, tree

pytestmark = pytest.mark.root

CORPUS = Path(__file__).with_name("dockerfiles")
N = "n" * 200


@dataclass(frozen=True)
class Outcome:
    """What an image holds: texts by path, `mode uid:gid` by path, paths that are not there, and its configuration.

    Or why there is none: the sentence of a file that is *refused*, or of a step that *fails*.
    """

    says: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)
    absent: Sequence[str] = ()
    config: Mapping[str, object] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    fails: str = ""


OUTCOMES = {
    "add": Outcome(refused="line 2: ADD is not supported"),
    "arguments": Outcome(says={"said": "two words/7//\n"}, env={"KEPT": "two words-7"}),
    "bom-and-crlf": Outcome(says={"one": "one\n", "two": "two\n"}, env={"LINE": "ends"}),
    "capabilities": Outcome(
        modes={"bin/ping": "104711 5:6", "kept": "100640 7:8", "shared": "41777 0:0"}, absent=["ping"]
    ),
    "comments": Outcome(says={"hash": "# this is\na # b\n"}),
    "context": Outcome(refused="line 3: COPY without --from"),
    "copies": Outcome(
        says={"copied/a": "a\n", "copied/sub/b": "b\n", "flat/a": "a\n", "flat/b": "b\n", "made": "scratch\n"},
        modes={"copied/a": "100600 12:34", "copied/link": "120777 12:34", "flat/a": "100600 0:0"},
        absent=["tree", "etc/passwd"],
    ),
    "directive": Outcome(says={"path": "C:dir\n"}),
    "entrypoint": Outcome(
        config={"entrypoint": ("/bin/httpd", "-f"), "cmd": ("-p", "8080"), "ports": ("53/udp", "8080/tcp")}
    ),
    "environment": Outcome(
        says={"said": "1|two words|three words|style with spaces|1defaultset\n"},
        env={"C": "three words", "PATH": "/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    ),
    "exec-form": Outcome(says={"brackets": "shell\n", "two words": "", "$HOME": ""}),
    "failing-program": Outcome(fails="the step RUN no-such-program --help failed with exit code 127"),
    "failing-step": Outcome(fails="the step RUN echo trying; exit 4 failed with exit code 4"),
    "hard-links": Outcome(
        says={f"deep/{N}/{N}/{N}/file": "deep\n"},
        modes={"hard": "104755 33:44", "soft": "120777 0:0", "dangling": "120777 0:0", "pipe": "10644 0:0"},
    ),
    "heredoc": Outcome(refused="line 2: heredocs"),
    "labels": Outcome(
        says={"kept": "kept\n", "data/file": "data\n"}, modes={"data": "40755 0:0", "and more": "40755 0:0"}
    ),
    "lower-case": Outcome(
        says={"from": "base\nmore\n", "where": "/root/relative/nested\n"},
        config={"working_dir": "/root/relative/nested"},
    ),
    "mounts": Outcome(says={"said": "from the source\n"}, absent=["cache/x", "scratch/y", "mnt/word"]),
    "network": Outcome(refused="line 2: RUN --network"),
    "secret": Outcome(refused="line 2: RUN --mount=type=secret"),
    "shell": Outcome(says={"on": "went on\n"}),
    "typo": Outcome(refused="line 3: unknown instruction RUM"),
    "unicode": Outcome(says={"Füße/日本": "Grüße, 世界 ✓\n"}, config={"working_dir": "/Füße"}),
    "unknown-image": Outcome(refused="line 1: the image ubuntu:24.04 is not on this host"),
    "unset-argument": Outcome(refused="line 2: FROM may not use an ARG"),
    "users": Outcome(
        says={"home/app/uid": "1000\n", "tmp/uid": "1234\n5678\n"},
        modes={"home/app/uid": "100644 1000:1000", "tmp/uid": "100644 1234:5678"},
        config={"user": "app", "working_dir": "/home/app/work"},
    ),
    "web-app": Outcome(
        says={"srv/www/index.html": "<h1>Hello from a template</h1>\n"},
        modes={"srv/www/index.html": "100644 100:100"},
        config={"user": "web", "working_dir": "/srv/www", "cmd": ("httpd", "-f", "-p", "8080"), "ports": ("8080/tcp",)},
        env={"PORT": "8080"},
        absent=["src"],
    ),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return images(tmp_path_factory.mktemp("images"))


def text_of(name: str) -> str:
    return (CORPUS / f"{name}.Dockerfile").read_bytes().decode()


def test_the_corpus_has_every_instruction_and_every_file_an_outcome() -> None:
    found = {instruction.word for name in OUTCOMES for instruction in instructions(text_of(name))}

    assert found >= WORDS
    assert {path.name.removesuffix(".Dockerfile") for path in CORPUS.iterdir()} == OUTCOMES.keys()


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_file_has_the_outcome_that_is_written_beside_it(cache: Cache, name: str) -> None:
    wanted, lab = OUTCOMES[name], BuildLab(cache)
    if reason := wanted.refused or wanted.fails:
        with pytest.raises(ImageError) as caught:
            lab.build_text(text_of(name))
        assert caught.value.reason.startswith(reason)
        assert bool(lab.log) == bool(wanted.fails)
        return

    base = lab.build_text(text_of(name))

    found = tree(base)
    assert contents(base, wanted.says) == wanted.says
    assert {
        path: f"{int(found[path][0], 8):o} {found[path][1]}:{found[path][2]}" for path in wanted.modes
    } == wanted.modes
    assert not found.keys() & set(wanted.absent)
    assert {key: getattr(base.config, key) for key in wanted.config} == wanted.config
    assert wanted.env.items() <= base.config.env.items()
