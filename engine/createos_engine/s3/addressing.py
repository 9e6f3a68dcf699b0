"""Where the objects of a bucket are: path style or virtual-host style, as the disk says."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from createos_engine.disk_words import Bucket

_UNRESERVED = "-._~"


def url_of(bucket: Bucket, key: str = "", query: str = "") -> str:
    """Return the URL of an object, or of the bucket itself; *query* is encoded already.

    An address has no subdomains, and no certificate is for a subdomain of a subdomain: there it is path style always.
    """
    parts = urlsplit(bucket.endpoint)
    path = "/" + encoded_key(key)
    if bucket.path_style or _is_address(parts.hostname or "") or (parts.scheme == "https" and "." in bucket.bucket):
        url = f"{parts.scheme}://{parts.netloc}/{bucket.bucket}{path if key else ''}"
    else:
        url = f"{parts.scheme}://{bucket.bucket}.{parts.netloc}{path}"
    return f"{url}?{query}" if query else url


def encoded_key(key: str) -> str:
    """Return a key as it stands in a path: everything but unreserved characters and slashes as %XX, as S3 signs it."""
    return quote(key, safe=_UNRESERVED + "/")


def encoded(text: str) -> str:
    """Return a name or value of a query as S3 signs it."""
    return quote(text, safe=_UNRESERVED)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
