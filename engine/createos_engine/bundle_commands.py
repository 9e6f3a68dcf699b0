"""`createosd bundle`: what a host needs, in one file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from createos_engine.errors import EngineError, Invalid
from createos_engine.settings import load

if TYPE_CHECKING:
    from createos_engine.services.bundles import Bundled

app = typer.Typer(help="Move kernel, images and templates to a host without a network.", no_args_is_help=True)

Config = Annotated[Path | None, typer.Option(help="Settings file instead of /etc/createos/config.toml.")]
Directory = Annotated[Path | None, typer.Option()]
Images = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this image; repeatable.")]
Chosen = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this template; repeatable.")]


@app.command(name="export")
def export_(
    file: Annotated[Path, typer.Argument(help="The bundle to write.")],
    rootfs: Images = None,
    template: Chosen = None,
    no_templates: Annotated[bool, typer.Option("--no-templates", help="Leave templates out.")] = False,
    config: Config = None,
    state_dir: Directory = None,
    cache_dir: Directory = None,
) -> None:
    """Write the guest kernel, the images and your templates to one file."""
    if file.is_dir():
        raise Invalid(f"{file} is a directory", hint=f"name a file, for example {file / 'createos.bundle'}")
    settings = load(config, state_dir=state_dir, cache_dir=cache_dir)
    from createos_engine.services.bundles import export

    templates = [] if no_templates else template
    done = _run(export(settings, file.absolute(), _say, images=rootfs or (), templates=templates))
    _tell(f"Wrote {file} ({file.stat().st_size // 2**20} MiB)", done)


@app.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(help="The bundle to read.")],
    config: Config = None,
    state_dir: Directory = None,
    cache_dir: Directory = None,
) -> None:
    """Bring everything of a bundle to this host; each file is verified first."""
    settings = load(config, state_dir=state_dir, cache_dir=cache_dir)
    from createos_engine.services.bundles import import_

    _tell(f"Imported {file}", _run(import_(settings, file, _say)))


def _run(work: Coroutine[Any, Any, Bundled]) -> Bundled:
    if os.geteuid():
        work.close()
        raise EngineError("bundles need root: they hold the images of everybody's sandboxes", hint="use sudo")
    return asyncio.run(work)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _tell(what: str, done: Bundled) -> None:
    images, templates = ", ".join(done.images) or "none", ", ".join(done.templates) or "none"
    sys.stdout.write(f"{what}\n  images     {images}\n  templates  {templates}\n")
