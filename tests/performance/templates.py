"""Templates: builds beside the builder alone, the first create from a new one, a file built before, and bundles."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import sleep

from createos_engine.settings import load
from createos_images.builder import Base, find_base
from createos_images.bundle import export_bundle, import_bundle
from createos_images.cache import Cache
from createos_images.progress import silent

from tests.performance.bench import Bench, Figure, timed
from tests.vm.engine import LiveEngine

_POLL_S = 0.01
_BASE = "debian:12"
# What a file adds to the 120 MB of its base.
_SIZES = {"170 MB": 50, "1.2 GB": 1100}
_CACHE_HIT_GOAL_MS = 1000.0


def measure(bench: Bench) -> list[Figure]:
    """Return the figures; every build has a text of its own."""
    figures = []
    with _plain_buildah() as alone:
        for label, size_mb in _SIZES.items():
            texts = [_text(size_mb, f"{label} {number}") for number in range(bench.rounds)]
            pairs = [
                (timed(lambda text=text: _build(bench.engine, text)), timed(lambda text=text: alone(text)))
                for text in texts
            ]
            ours, theirs = (median(column) for column in zip(*pairs, strict=True))
            figures.append(Figure(f"template of {label}: build and disk", ours, "buildah alone", theirs, "≤ 1.5 ×"))
    again = median(timed(lambda: _build(bench.engine, texts[0])) for _ in range(bench.rounds))
    figures.append(Figure("a file that was built before", again, "goal", _CACHE_HIT_GOAL_MS, "≤ 1000 ms"))
    figures.append(_first_creates(bench))
    figures.append(_bundles(bench.rounds))
    return figures


def _text(size_mb: int, label: str) -> str:
    step = f"for i in $(seq {size_mb // 10}); do dd if=/dev/urandom of=/srv/$i bs=1M count=10 status=none; done"
    return f"FROM {_BASE}\n# {label}\nRUN {step}\n"


def _build(engine: LiveEngine, text: str) -> None:
    engine.call("POST", "/v1/templates", {"name": "bench", "dockerfile": text})
    while (status := engine.call("GET", "/v1/templates/bench")["status"]) not in ("ready", "failed"):
        sleep(_POLL_S)
    if status == "failed":
        raise SystemExit(engine.http.get("/v1/templates/bench/logs").text)


@contextmanager
def _plain_buildah() -> Iterator[Callable[[str], None]]:
    """Give a buildah of its own that knows the base; nothing of ours is between it and the steps."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        root = Path(place)
        policy = root / "policy.json"
        policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        storage = ["buildah", "--root", f"{root}/root", "--runroot", f"{root}/run", "--storage-driver", "overlay"]

        def buildah(*words: str) -> str:
            done = subprocess.run([*storage, *words], check=True, capture_output=True, text=True)
            return done.stdout.strip()

        container = buildah("from", "scratch")
        with _files(_base(Cache(load().cache_dir)), root / "base") as tree:
            subprocess.run(["cp", "-a", f"{tree}/.", buildah("mount", container)], check=True)
        buildah("commit", "--quiet", "--rm", "--signature-policy", str(policy), container, f"localhost/{_BASE}")
        (root / "context").mkdir()

        def build(text: str) -> None:
            file = root / "Dockerfile"
            file.write_text(text.replace(f"FROM {_BASE}", f"FROM localhost/{_BASE}"))
            bud = (
                "bud",
                "--isolation",
                "oci",
                "--runtime",
                "runc",
                "--network",
                "none",
                "--pull-never",
                "--layers=false",
            )
            more = ("--squash", "--signature-policy", str(policy), "--tag", "localhost/result", "--file", str(file))
            buildah(*bud, *more, f"{root}/context")
            buildah("rmi", "localhost/result")

        yield build


@contextmanager
def _files(base: Base, place: Path) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-o", "loop,ro", base.path, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def _first_creates(bench: Bench) -> Figure:
    """Compare the first create from a new template with one from the image it begins from."""
    new, known = [], []
    for number in range(bench.rounds):
        _build(bench.engine, f"FROM {_BASE}\nRUN echo {number} > /new\n")
        new.append(timed(lambda: _create_and_exec(bench.engine, "bench")))
        known.append(timed(lambda: _create_and_exec(bench.engine, _BASE)))
    return Figure("first create from a new template → first exec", median(new), f"from {_BASE}", median(known), "")


def _create_and_exec(engine: LiveEngine, rootfs: str) -> None:
    box = engine.create(rootfs=rootfs, cold=True)
    box.exec("true")
    box.destroy()


def _bundles(rounds: int) -> Figure:
    """Import a bundle of the base into an empty cache, beside a copy of the bundle that is synced."""
    imports, copies = [], []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        root = Path(place)
        bundle = root / "bundle"
        export_bundle(Cache(load().cache_dir), bundle, (), silent, only=[_BASE])
        for number in range(rounds):
            cache = Cache(root / f"cache-{number}")
            imports.append(timed(lambda cache=cache: import_bundle(cache, bundle, silent)))
            copy = root / "copy"
            copies.append(timed(lambda copy=copy: subprocess.run(["cp", bundle, copy], check=True) and _sync(copy)))
            copy.unlink()
            shutil.rmtree(cache.root)
    return Figure("import of a bundle", median(imports), "cp and sync of the file", median(copies), "")


def _sync(path: Path) -> None:
    subprocess.run(["sync", path], check=True)


def _base(cache: Cache) -> Base:
    found = find_base(_BASE, cache)
    if found is None:
        raise SystemExit(f"{_BASE} is not built: run make setup")
    return found
