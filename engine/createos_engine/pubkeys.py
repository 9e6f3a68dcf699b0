"""Public keys of people who may enter a sandbox over SSH, in one form."""

from __future__ import annotations

import asyncssh

KEYS_OF_A_SANDBOX = 64
LONGEST_LINE = 16_384
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 16_384
_KINDS = ("ssh-ed25519", "ssh-ed448", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519@", "sk-ecdsa-sha2-")


def canonical(line: str) -> str:
    """Return an OpenSSH public key as `TYPE BASE64 COMMENT` with single spaces; ValueError says what is wrong."""
    text = line.strip()
    if len(text) > LONGEST_LINE:
        raise ValueError(f"an SSH key has more than {LONGEST_LINE} characters; copy one line of a .pub file")
    if "\n" in text or "\r" in text or not text.startswith(_KINDS) or len(text.split()) < 2:
        raise ValueError("an SSH key must be one line in OpenSSH format, like: ssh-ed25519 AAAA… comment")
    try:
        key = asyncssh.import_public_key(text)
    except (asyncssh.KeyImportError, ValueError) as exc:
        raise ValueError("an SSH key cannot be read; copy the whole line of the .pub file") from exc
    kind, _, comment = text.partition(" ")
    if kind == "ssh-rsa" and not LEAST_RSA_BITS <= _rsa_bits(key) <= MOST_RSA_BITS:
        raise ValueError(
            f"an RSA key has {LEAST_RSA_BITS} to {MOST_RSA_BITS} bits; make a better one with ssh-keygen -t ed25519"
        )
    return " ".join([identity(key), *comment.split()[1:]])


def identity(key: asyncssh.SSHKey) -> str:
    """Return what makes a key the same as another: `TYPE BASE64`."""
    return " ".join(key.export_public_key().decode().split()[:2])


def identity_of(line: str) -> str:
    """Return the same of a line in canonical form."""
    return " ".join(line.split()[:2])


def merged(present: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Return *present* and behind it what of *more* is new; the comment that came first stays."""
    by_key = {identity_of(line): line for line in present}
    for line in more:
        by_key.setdefault(identity_of(line), line)
    return tuple(by_key.values())


def _rsa_bits(key: asyncssh.SSHKey) -> int:
    """Return the size of the modulus, which is the last of the blob's three fields (RFC 4253, 6.6)."""
    blob = key.public_data
    for _ in range(2):
        blob = blob[4 + int.from_bytes(blob[:4]) :]
    return int.from_bytes(blob[4:]).bit_length()
