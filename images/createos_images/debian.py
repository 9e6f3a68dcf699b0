"""Packages from the Debian mirrors that the host's own apt is set up for. Nothing is installed on the host."""

from __future__ import annotations

import re
from pathlib import Path

from createos_images.command import run
from createos_images.errors import ImageError

LOOKUP_TIMEOUT_S = 60.0
DOWNLOAD_TIMEOUT_S = 900.0
UNPACK_TIMEOUT_S = 300.0

MAIN_MIRROR = "http://deb.debian.org/debian"
SECURITY_MIRROR = "http://deb.debian.org/debian-security"
INDEX_FORMAT = "$(LABEL)|$(REPO_URI)"
TRANSPORT = re.compile(r"Acquire::(https?::|ftp::|Check-|Retries|ForceIPv)")
"""The apt options that say how mirrors are reached, not what is taken from them."""

NO_NETWORK = re.compile(
    r"could not resolve|temporary failure resolving|could not connect|cannot initiate the connection"
    r"|network is unreachable|connection timed out|connection refused|failed to fetch|unable to connect",
    re.IGNORECASE,
)


def newest_dependency(meta_package: str, pattern: str) -> str:
    """Return the first package matching *pattern* that the newest version of *meta_package* depends on."""
    depends = run("apt-cache", "depends", "--important", meta_package, timeout_s=LOOKUP_TIMEOUT_S)
    found = re.search(rf"Depends: ({pattern})$", depends, re.MULTILINE)
    if not found:
        raise ImageError(f"apt knows no package {meta_package}", "run apt-get update, then make setup")
    return found[1]


def fetch(package: str, into: Path) -> Path:
    """Download *package* and unpack it below *into* without running any of its scripts; return *into*."""
    downloads = into.with_name(f"{into.name}.deb")
    downloads.mkdir()
    try:
        run("apt-get", "-q", "download", package, cwd=downloads, timeout_s=DOWNLOAD_TIMEOUT_S)
    except ImageError as exc:
        raise explained(exc, f"package {package}") from exc
    (deb,) = downloads.glob("*.deb")
    run("dpkg-deb", "--extract", deb, into, timeout_s=UNPACK_TIMEOUT_S)
    return into


def explained(error: ImageError, what: str) -> ImageError:
    """Return *error* in words that say whether the network or the package lists are at fault."""
    if NO_NETWORK.search(error.details):
        hint = "run make setup once while the network works; afterwards none is needed"
        return ImageError(f"{what} cannot be downloaded: no mirror answers", hint, details=error.details)
    hint = "run apt-get update, then make setup"
    return ImageError(f"{what} cannot be downloaded: {error.reason}", hint, details=error.details)


def sources(suite: str, mirror: str | None = None) -> list[str]:
    """Return the lines of a sources.list for *suite*: from *mirror*, else from where the host's apt gets Debian."""
    if mirror:
        return [f"deb {mirror} {suite} main", f"deb {mirror} {suite}-updates main"]
    lines = run("apt-get", "indextargets", "--format", INDEX_FORMAT, "Created-By: Packages", timeout_s=LOOKUP_TIMEOUT_S)
    found: dict[str, str] = {}
    for label, _, uri in (line.partition("|") for line in lines.splitlines()):
        found.setdefault(label, uri)
    # a host that is not Debian has other labels: then the public mirrors
    main = found.get("Debian", MAIN_MIRROR)
    security = found.get("Debian-Security", SECURITY_MIRROR)
    updates = [f"deb {main} {suite} main", f"deb {main} {suite}-updates main"]
    return [*updates, f"deb {security} {suite}-security main"]


def transport_options() -> list[str]:
    """Return what the host's apt was told about reaching mirrors: proxies, certificates, clocks."""
    dump = run("apt-config", "dump", timeout_s=LOOKUP_TIMEOUT_S)
    return [line for line in dump.splitlines() if TRANSPORT.match(line) and '""' not in line]
