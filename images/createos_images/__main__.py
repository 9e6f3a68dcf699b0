"""`python -m createos_images`: build what the engine needs into the cache, and show what is there."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from createos_images import catalog
from createos_images.agent import ensure_agent
from createos_images.builder import build_base, list_bases
from createos_images.cache import DEFAULT_CACHE, Cache
from createos_images.errors import ImageError
from createos_images.initramfs import Initramfs, build_initramfs
from createos_images.kernel import ensure_kernel, find_kernel, update_kernel
from createos_images.progress import Progress, silent
from createos_images.tools import ensure_tools


class Clock:
    """Prints each step with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, line: str) -> None:
        """Print one line."""
        print(f"[{time.monotonic() - self._started:6.1f} s] {line}", flush=True)  # noqa: T201  this is its work


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, or 1 after one sentence on stderr."""
    asked = _parser().parse_args(arguments)
    cache = Cache(asked.cache.absolute())
    try:
        COMMANDS[asked.command](asked, cache, Clock())
    except ImageError as exc:
        print(f"error: {exc.sentence}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m createos_images", description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="cache directory (%(default)s)")
    parser.add_argument("--mirror", help="Debian mirror for the images instead of the host's")
    commands = parser.add_subparsers(dest="command", required=True)
    setup = commands.add_parser("setup", help="kernel, agent, initramfs, tools disk and images; what is there is kept")
    setup.add_argument("names", nargs="*", metavar="NAME", help=f"images (default: {catalog.DEFAULT})")
    build = commands.add_parser("build", help="build images")
    build.add_argument("names", nargs="+", metavar="NAME", help="such as devbox:1")
    commands.add_parser("boot", help="kernel, agent and initramfs only")
    commands.add_parser("tools", help="the tools disk of guests that use S3")
    commands.add_parser("update-kernel", help="take the newest kernel of the mirror")
    commands.add_parser("list", help="images that are built")
    commands.add_parser("path", help="files to boot: kernel, initramfs, bases")
    return parser


def _setup(asked: argparse.Namespace, cache: Cache, progress: Progress) -> None:
    _boot(asked, cache, progress)
    _tools(asked, cache, progress)
    asked.names = asked.names or [catalog.DEFAULT]
    _build(asked, cache, progress)


def _boot(_asked: argparse.Namespace, cache: Cache, progress: Progress) -> None:
    _initramfs(cache, progress)
    progress("kernel and initramfs are ready")


def _initramfs(cache: Cache, progress: Progress) -> Initramfs:
    kernel = ensure_kernel(cache, progress)
    return build_initramfs(cache, kernel, ensure_agent(cache, progress), progress)


def _tools(asked: argparse.Namespace, cache: Cache, progress: Progress) -> None:
    tools = ensure_tools(cache, progress, asked.mirror)
    progress(f"the tools disk is ready: {tools.path.stat().st_size // 2**20} MiB")


def _build(asked: argparse.Namespace, cache: Cache, progress: Progress) -> None:
    for name in asked.names:
        base = build_base(name, cache, progress, asked.mirror)
        progress(f"{name} is ready: {base.size_bytes // 2**20} MiB")


def _update_kernel(_asked: argparse.Namespace, cache: Cache, progress: Progress) -> None:
    progress(f"kernel {update_kernel(cache, progress).version} is used from now on")


def _list(_asked: argparse.Namespace, cache: Cache, _progress: Progress) -> None:
    for base in list_bases(cache):
        print(f"{base.name:12} {base.size_bytes // 2**20:6} MiB  {base.path}")  # noqa: T201


def _path(_asked: argparse.Namespace, cache: Cache, _progress: Progress) -> None:
    kernel = find_kernel(cache)
    if not kernel:
        raise ImageError(f"there is no kernel in {cache.root}", "run make setup")
    print(f"vmlinux {kernel.vmlinux}")  # noqa: T201
    print(f"initramfs {_initramfs(cache, silent).path}")  # noqa: T201
    for base in list_bases(cache):
        print(f"{base.name} {base.path}")  # noqa: T201


COMMANDS = {
    "setup": _setup,
    "build": _build,
    "boot": _boot,
    "tools": _tools,
    "update-kernel": _update_kernel,
    "list": _list,
    "path": _path,
}

if __name__ == "__main__":
    sys.exit(main())
