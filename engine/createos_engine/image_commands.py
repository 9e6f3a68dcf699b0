"""`createosd images`: images, and the golden snapshots that creates of them start from."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from createos_engine.errors import EngineError
from createos_engine.settings import Settings, load

if TYPE_CHECKING:
    from createos_engine.golden_words import Golden
    from createos_engine.services.golden_list import Listing

app = typer.Typer(help="Show images and golden snapshots, and keep some of these whatever the budget says.")

Config = Annotated[Path | None, typer.Option(help="Settings file instead of /etc/createos/config.toml.")]
Directory = Annotated[Path | None, typer.Option()]
Id = Annotated[str, typer.Argument(metavar="GOLDEN", help="Id of a golden snapshot.")]

_MIB = 2**20
_KEY_LENGTH = 12


@app.callback(invoke_without_command=True)
def show(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: Config = None,
    state_dir: Directory = None,
    cache_dir: Directory = None,
) -> None:
    """Show images, and the golden snapshots that creates of them start from."""
    ctx.obj = load(config, state_dir=state_dir, cache_dir=cache_dir)
    _require_root()
    if ctx.invoked_subcommand:
        return
    from createos_engine.services.golden_list import listing

    found = listing(ctx.obj)
    sys.stdout.write(document(found) if as_json else table(found, datetime.now(UTC)))


@app.command()
def pin(ctx: typer.Context, golden: Id) -> None:
    """Keep a golden snapshot whatever golden_budget_mib says."""
    _pin(ctx.obj, golden, pinned=True)


@app.command()
def unpin(ctx: typer.Context, golden: Id) -> None:
    """Let a golden snapshot go when room is needed."""
    _pin(ctx.obj, golden, pinned=False)


def _pin(settings: Settings, golden: str, *, pinned: bool) -> None:
    from createos_engine.services.golden_list import pin as pin_golden

    changed = asyncio.run(pin_golden(settings, golden, pinned=pinned))
    sys.stdout.write(f"{changed.id} ({changed.rootfs}, {changed.shape}): {'pinned' if pinned else 'not pinned'}\n")


def _require_root() -> None:
    if os.geteuid():
        raise EngineError("golden snapshots are root's alone", hint="use sudo")


def document(found: Listing) -> str:
    """Return everything as JSON."""
    bases = [{"name": base.name, "digest": base.digest, "size_bytes": base.size_bytes} for base in found.bases]
    goldens = [asdict(golden) for golden in found.goldens]
    return json.dumps({"images": bases, "golden_snapshots": goldens}, default=_text, indent=2) + "\n"


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def table(found: Listing, now: datetime) -> str:
    """Return images and golden snapshots as two tables."""
    images: list[tuple[str, ...]] = [("IMAGE", "DIGEST", "SIZE")]
    images += [(base.name, base.digest[:_KEY_LENGTH], f"{base.size_bytes // _MIB} MiB") for base in found.bases]
    goldens: list[tuple[str, ...]] = [
        ("GOLDEN SNAPSHOT", "IMAGE", "SHAPE", "DISK", "KEY", "STATE", "SIZE", "USES", "LAST USED", "PINNED")
    ]
    goldens += [_row(golden, now) for golden in found.goldens]
    return "\n".join([*_aligned(images), "", *_aligned(goldens)]) + "\n"


def _row(golden: Golden, now: datetime) -> tuple[str, ...]:
    return (
        golden.id,
        golden.rootfs,
        golden.shape,
        f"{golden.disk_mib} MiB",
        golden.key[:_KEY_LENGTH],
        golden.state,
        f"{golden.size_bytes // _MIB} MiB",
        str(golden.uses),
        _ago(golden.last_used_at, now),
        "yes" if golden.pinned else "no",
    )


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
