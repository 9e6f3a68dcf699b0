"""The stored API key: one file, readable by its owner only."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from createos_cli.errors import CliError, Usage

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


@dataclass(frozen=True)
class Credential:
    """An API key; *stored* means it came from the file and not from a flag or variable of this run."""

    token: str = field(repr=False)
    stored: bool = False


class TokenStore:
    """`~/.createos/.token`, and the session file of the hosted service's own client beside it."""

    def __init__(self, home: Path) -> None:
        self.directory = home / ".createos"
        self.path = self.directory / ".token"
        self.session_path = self.directory / ".oauth"

    def read(self) -> Credential | None:
        """Return the stored key, None without one."""
        try:
            token = self.path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            raise CliError(f"{self.path} cannot be read: {exc}", hint="remove it and run createos login") from exc
        return Credential(check_token(token), stored=True) if token else None

    def write(self, token: str) -> None:
        """Replace the stored key; a reader sees the old or the new one, never half of it."""
        partial = self.directory / f".token.{os.getpid()}"
        try:
            self.directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            self.directory.chmod(DIRECTORY_MODE)
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w") as file:
                file.write(token + "\n")
            partial.replace(self.path)
        except OSError as exc:
            raise CliError(f"the token could not be stored in {self.path}: {exc.strerror}") from exc

    def delete(self) -> bool:
        """Remove both credential files; say whether there was one."""
        found = False
        for path in (self.path, self.session_path):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                found = True
        return found


def check_token(token: str) -> str:
    """Return the token trimmed; raise Usage when it could not be sent in a header."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise Usage(
            "the API key is empty or has characters that no key has", hint="copy it again: createos login --token KEY"
        )
    return token
