"""The gateway's own key, made once: clients know the gateway by it."""

from __future__ import annotations

import os
from pathlib import Path

import asyncssh

from createos_engine.errors import HostFailed

_KIND = "ssh-ed25519"


def host_key(path: Path) -> asyncssh.SSHKey:
    """Return the key in a file (0600), made on first use; HostFailed when it can be neither read nor made."""
    try:
        if not path.exists():
            _make(path)
        return asyncssh.read_private_key(path)
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as exc:
        raise HostFailed(
            f"the SSH host key {path} cannot be used: {exc}",
            hint="remove it and restart createosd; clients must then trust the new one",
        ) from exc


def _make(path: Path) -> None:
    """Write a new key under another name first: a key that is half there would lock everybody out."""
    key = asyncssh.generate_private_key(_KIND, comment="createosd")
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.export_private_key())
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
