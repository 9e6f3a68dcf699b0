"""The keys of S3 disks at rest: AES-256-GCM, with a key of this engine's in a file of its own (wire-api 14.1)."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from createos_engine.drivers.durable import sync
from createos_engine.errors import HostFailed

_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"
_RESTORE = "restore the file from a backup, or delete the disks and register them again"


class Vault:
    """Seals secrets for one owner each: what was sealed for one cannot be opened as that of another.

    The key file (0600) is made when the first secret is sealed. *in_use* says whether there are sealed secrets: then a
    missing file is a failure, and never replaced.
    """

    def __init__(self, key_file: Path, in_use: Callable[[], bool]) -> None:
        self._file = key_file
        self._in_use = in_use

    def seal(self, secret: bytes, owner: str) -> bytes:
        """Return *secret* sealed for *owner*; HostFailed when the key file cannot be made or used."""
        if not self._file.exists() and not self._in_use():
            self._make()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + AESGCM(self._key()).encrypt(nonce, secret, _bound(owner))

    def open(self, sealed: bytes, owner: str) -> bytes:
        """Return what was sealed for *owner*; HostFailed when this is not it, or the key file cannot be used."""
        version, nonce, rest = sealed[:1], sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if version != _VERSION or len(nonce) != _NONCE_BYTES:
                raise InvalidTag
            return AESGCM(self._key()).decrypt(nonce, rest, _bound(owner))
        except InvalidTag as exc:
            raise HostFailed(
                f"the keys of {owner} were not sealed with {self._file}, or have been changed",
                hint="give the disk its keys again, or restore the file",
            ) from exc

    def _key(self) -> bytes:
        try:
            handle = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                self._require_private(os.fstat(handle))
                key = file.read(_KEY_BYTES + 1)
        except FileNotFoundError as exc:
            raise HostFailed(
                f"{self._file} is missing, without which the keys of S3 disks cannot be read", hint=_RESTORE
            ) from exc
        except OSError as exc:
            raise HostFailed(
                f"{self._file} cannot be read: {exc.strerror}", hint="it must be a file of createosd's user"
            ) from exc
        if len(key) != _KEY_BYTES:
            raise HostFailed(f"{self._file} is damaged: a key has {_KEY_BYTES} bytes", hint=_RESTORE)
        return key

    def _require_private(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise HostFailed(
                f"{self._file} is not a file that only createosd's user can read, and it opens the keys of S3 disks",
                hint="chown it to that user and chmod it to 600; if others may have read it, give all disks new keys",
            )

    def _make(self) -> None:
        """Write a key under another name first: one that is half there would lock everybody out."""
        partial = self._file.with_suffix(".partial")
        try:
            partial.unlink(missing_ok=True)
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                file.flush()
                os.fsync(handle)
            # Unlike a rename it does not replace what somebody else has put there.
            os.link(partial, self._file)
            partial.unlink()
            sync(self._file.parent)
        except OSError as exc:
            raise HostFailed(
                f"{self._file} cannot be made: {exc.strerror}", hint="look at the space and the mode of its directory"
            ) from exc


def _bound(owner: str) -> bytes:
    return f"createos disk keys {owner}".encode()
