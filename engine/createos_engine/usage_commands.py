"""`createosd df` and `createosd prune`: who holds the disk space, and what nobody needs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from createos_engine.settings import Settings, load

if TYPE_CHECKING:
    from createos_engine.services.usage import Holding

_MIB = 2**20
_DAY_S = 86_400.0

Config = Annotated[Path | None, typer.Option(help="Settings file instead of /etc/createos/config.toml.")]
Directory = Annotated[Path | None, typer.Option()]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(df)
    app.command()(prune)


def df(
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
    config: Config = None,
    state_dir: Directory = None,
    cache_dir: Directory = None,
) -> None:
    """Show what takes disk space and who needs it; files that are mostly holes count with what they really take."""
    from createos_engine.services.usage import total_bytes

    found = _survey(load(config, state_dir=state_dir, cache_dir=cache_dir))
    if as_json:
        sys.stdout.write(json.dumps([_document(each) for each in found], indent=2) + "\n")
        return
    _table(found)
    sys.stdout.write(f"In all {total_bytes(found) / _MIB:.1f} MiB; what has several names is counted once.\n")


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    days: Annotated[float, typer.Option(min=1, help="Keep what somebody used within so many days.")] = 7,
    bases: Annotated[
        bool, typer.Option("--bases", help="Also images without a name that no sandbox of this engine stands on.")
    ] = False,
    config: Config = None,
    state_dir: Directory = None,
    cache_dir: Directory = None,
) -> None:
    """Remove what nobody needs from the image cache: old agents and initramfs, which are built again when missing."""
    from createos_images.cache import Cache

    from createos_engine.services.prune import of_no_use, remove
    from createos_engine.services.usage import total_bytes

    settings = load(config, state_dir=state_dir, cache_dir=cache_dir)
    found = of_no_use(_survey(settings), Cache(settings.cache_dir), older_than_s=days * _DAY_S, bases=bases)
    if not dry_run:
        remove(found)
    _table(found)
    said = "would be freed" if dry_run else "freed"
    sys.stdout.write(f"{total_bytes(found) / _MIB:.1f} MiB {said}\n")


def _survey(settings: Settings) -> list[Holding]:
    from createos_images.cache import Cache

    from createos_engine.paths import Paths
    from createos_engine.services.usage import survey
    from createos_engine.store.database import Database
    from createos_engine.store.sandboxes import SandboxStore
    from createos_engine.store.standbys import StandbyStore
    from createos_engine.store.templates import TemplateStore
    from createos_engine.words import State

    paths, cache = Paths(settings.state_dir, settings.run_dir), Cache(settings.cache_dir)
    if not paths.database.exists():
        return survey(paths, cache, (), ())
    database = Database(paths.database, read_only=True)
    try:
        rows, digests = SandboxStore(database).in_states(frozenset(State)), TemplateStore(database).digests()
        return survey(paths, cache, rows, digests, [standby.id for standby in StandbyStore(database).all()])
    finally:
        database.close()


def _table(found: Iterable[Holding]) -> None:
    for each in found:
        who = ", ".join(each.held_by) or "nobody"
        used, size = each.used_bytes / _MIB, each.size_bytes / _MIB
        sys.stdout.write(f"{each.kind:<14}{each.name:<32}{used:>10.1f} MiB of {size:>10.1f} MiB  {who}\n")


def _document(each: Holding) -> dict[str, object]:
    return {
        "kind": each.kind,
        "name": each.name,
        "path": str(each.path),
        "used_bytes": each.used_bytes,
        "size_bytes": each.size_bytes,
        "held_by": list(each.held_by),
    }
