"""Which directories may be synchronised (cli-behaviour 6.3). Checked before anything is touched."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from createos_cli.errors import Usage

SENSITIVE = frozenset({".ssh", ".gnupg", ".aws", ".config", ".docker", ".kube", ".gcloud", ".azure"})
SYSTEM = frozenset({"etc", "usr", "bin", "sbin", "lib", "lib64", "boot", "proc", "sys", "dev", "run"})
TEMPORARY = "/tmp"
LONGEST_REMOTE_BYTES = 4096


def check_local(text: str, home: Path, state: Path, *, force: bool) -> str:
    """Return the real path of a local directory; Usage when it may not be synchronised. *force* allows sensitive ones.

    Links are followed before anything is compared, so that none leads past a guard.
    """
    expanded = str(home) + text[1:] if text == "~" or text.startswith("~/") else text
    path, home = Path(os.path.abspath(expanded)).resolve(), home.resolve()  # noqa: PTH100
    if not path.is_dir():
        why = "is not a directory" if path.exists() else "does not exist"
        raise Usage(f"--local {text} {why}", hint="name a directory that exists; it is not made for you")
    if path == Path("/") or path == home:
        raise Usage(f"--local {path} is too much to synchronise", hint="name a directory below it, also with --force")
    below_home = path.is_relative_to(home) and home != Path("/")
    if not below_home and Path(TEMPORARY).resolve() not in path.parents:
        raise Usage(f"--local {path} is outside of your home and {TEMPORARY}", hint=f"use a directory below {home}")
    first = path.relative_to(home).parts[0] if below_home else ""
    if first in SENSITIVE and not force:
        raise Usage(f"--local {path} may hold keys and settings of yours", hint="--force synchronises it all the same")
    if state.resolve().is_relative_to(path):
        raise Usage(f"--local {path} holds the state of synchronisations", hint="name a directory beside it")
    return str(path)


def check_remote(text: str) -> str:
    """Return a directory in the sandbox in its shortest form; Usage when it may not be synchronised, even by force."""
    example = "for example: --remote /root/sync"
    if not text.startswith("/"):
        raise Usage(f"--remote {text} is not absolute", hint=example)
    if "\0" in text or len(text.encode(errors="surrogateescape")) > LONGEST_REMOTE_BYTES or not _is_text(text):
        raise Usage("--remote is no path that a sandbox can have", hint=example)
    path = posixpath.normpath("/" + text.lstrip("/"))
    first = path.split("/")[1]
    if not first or first in SYSTEM:
        raise Usage(f"--remote {path} belongs to the system of the sandbox", hint=example)
    return path


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
