"""The authorities that this host trusts, for a guest that speaks TLS with an endpoint itself."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----")
# How OpenSSL finds a certificate in a directory: by a digest of its subject.
_HASHED = "[0-9a-f]" * 8 + ".[0-9]*"


def authorities() -> str:
    """Return the trust store of this host as PEM, each certificate once; empty when there is none. Reads files."""
    return "".join(f"{found}\n" for found in dict.fromkeys(each for path in _files() for each in _certificates(path)))


def _files() -> Iterator[Path]:
    """Yield the files from which OpenSSL takes authorities, with its variables SSL_CERT_FILE and SSL_CERT_DIR."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        yield Path(paths.cafile)
    if paths.capath:
        yield from sorted(Path(paths.capath).glob(_HASHED))


def _certificates(path: Path) -> list[str]:
    try:
        return _CERTIFICATE.findall(path.read_text("ascii", "replace"))
    except OSError:
        return []
