"""A sandbox's row as a file beside its disk: enough to bring it back without the database."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from createos_engine.errors import HostFailed
from createos_engine.words import Sandbox


def write_manifest(path: Path, sandbox: Sandbox) -> None:
    """Write or replace the manifest (0600); a reader sees the old or the new one. Raises HostFailed."""
    partial = path.with_name(f"{path.name}.partial")
    row = json.dumps(asdict(sandbox), default=str, indent=2)
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as manifest:
            manifest.write(row + "\n")
            manifest.flush()
            os.fsync(manifest.fileno())
        partial.replace(path)
    except OSError as exc:
        raise HostFailed(f"{path} could not be written: {exc.strerror}", hint="free some space") from exc
