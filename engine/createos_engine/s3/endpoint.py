"""What may be said of a bucket: the form of its endpoint, its name and its region."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

# Names with _ are of networks of containers.
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMBERS = re.compile(r"[0-9.]+")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_MOST_HOST = 253
_USUAL_PORTS = {"http": 80, "https": 443}


def checked_endpoint(text: str) -> str:
    """Return an endpoint as scheme, host and port, in lower case and without a port the scheme has anyway.

    Raises ValueError with a sentence for everything else.
    """
    form = "write an endpoint as https://host or http://host:port"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as exc:
        raise ValueError(f"{text[:200]!r} is no URL; {form}") from exc
    if "@" in parts.netloc:
        raise ValueError("the endpoint has a user in it; leave that out and give the keys as credentials")
    if parts.scheme not in _USUAL_PORTS or not parts.netloc:
        raise ValueError(f"{text[:200]!r} is no http or https URL; {form}")
    if parts.path not in ("", "/") or "?" in text or "#" in text:
        raise ValueError(f"the endpoint has more than scheme, host and port; {form}")
    if port == 0:
        raise ValueError("port 0 is no port to connect to; name the one the server listens on")
    host = _host(parts.netloc.lower())
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != _USUAL_PORTS[parts.scheme] else "")


def checked_bucket(text: str) -> str:
    """Return the name of a bucket if some S3 server may have one of this name, else raise ValueError.

    Upper case and underscores are of old buckets; two dots in a row would be a path.
    """
    if not _BUCKET.fullmatch(text) or ".." in text:
        raise ValueError(
            f"{text[:80]!r} is no name of a bucket; one has 3 to 63 letters, digits, dots, - and _, without .. in it"
        )
    return text


def checked_region(text: str) -> str:
    """Return a region, which may be empty, else raise ValueError."""
    if text and not _REGION.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no region; write it as us-east-1, or leave it out")
    return text


def _host(netloc: str) -> str:
    host = re.sub(r":[0-9]*$", "", netloc)
    if host.startswith("["):
        return f"[{IPv6Address(host[1:-1])}]"
    if len(host) > _MOST_HOST or not _HOST.fullmatch(host):
        raise ValueError(f"{host[:80]!r} is no host; use a name or an address")
    if _NUMBERS.fullmatch(host) and not _is_ipv4(host):
        raise ValueError(f"{host[:80]!r} is no address; write one as four numbers, or a name")
    return host


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
