"""SSH keys in the user's files: public ones to be sent, private ones to be named to `ssh`, which alone reads them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from createos_cli.errors import Usage

KEY_TYPES = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-")
DEFAULT_IDENTITIES = ("id_ed25519", "id_rsa", "id_ecdsa")
LARGEST_FILE_BYTES = 65_536
_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Identity:
    """A private key file and the text of the public key beside it."""

    private: Path
    public_key: str


def read_public_key(path: str | Path, flag: str) -> str:
    """Return the one line of a public key file; Usage names *flag*, the file and what is wrong. `~` is not expanded."""
    text = _read(Path(path), f"{flag} {path}")
    if "PRIVATE KEY" in text:
        raise Usage(f"{flag} {path} is a private key", hint=f"give the public one: {path}.pub")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) != 1 or not is_public_key(lines[0]):
        raise Usage(
            f"{flag} {path} is no public key in OpenSSH format",
            hint="it should be one line like: ssh-ed25519 AAAA… comment (ssh-keygen -y -f KEY prints it)",
        )
    return lines[0].strip()


def is_public_key(line: str) -> bool:
    """Tell whether a line is `TYPE BASE64 [COMMENT]` with the type said twice, as OpenSSH writes it."""
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(KEY_TYPES):
        return False
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        return False
    kind = words[0].encode()
    return blob[: _LENGTH_BYTES + len(kind)] == len(kind).to_bytes(_LENGTH_BYTES) + kind


def same_key(one: str, other: str) -> bool:
    """Tell whether two public keys are the same, whatever their comments."""
    return one.split()[:2] == other.split()[:2]


def own_public_keys(home: Path) -> list[Path]:
    """Return the public key files in `~/.ssh`, by name; what cannot be read is left out."""
    found = []
    for path in sorted((home / ".ssh").glob("*.pub")):
        try:
            read_public_key(path, "key")
        except Usage:
            continue
        found.append(path)
    return found


def find_identity(home: Path, named: str) -> Identity:
    """Return the key that was named with `--identity`, else the first usual one of `~/.ssh` (cli-behaviour 5.2)."""
    if named:
        return _identity(Path(named))
    for name in DEFAULT_IDENTITIES:
        private = home / ".ssh" / name
        if private.is_file() and public_of(private).is_file():
            return _identity(private)
    raise Usage(
        f"there is no SSH key in {home / '.ssh'} ({', '.join(DEFAULT_IDENTITIES)})",
        hint="make one with ssh-keygen -t ed25519, or name one with --identity KEY",
    )


def public_of(private: Path) -> Path:
    """Return where ssh-keygen puts the public key of a private one."""
    return private.with_name(f"{private.name}.pub")


def _identity(private: Path) -> Identity:
    if private.suffix == ".pub":
        raise Usage(f"--identity {private} is the public key", hint=f"give the private one: {private.with_suffix('')}")
    if not private.is_file():
        raise Usage(f"--identity {private} does not exist", hint="name a private key file such as ~/.ssh/id_ed25519")
    public = public_of(private)
    if not public.is_file():
        raise Usage(
            f"there is no {public} beside the key {private}", hint=f"make it with ssh-keygen -y -f {private} > {public}"
        )
    return Identity(private, read_public_key(public, "--identity"))


def _read(path: Path, called: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not text"
        raise Usage(f"{called} cannot be read: {why}", hint="name a public key file such as ./id_ed25519.pub") from exc
