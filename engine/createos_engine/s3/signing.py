"""AWS Signature Version 4 for S3: the one place that uses a secret key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from createos_engine.disk_words import Keys

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_PAYLOAD = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
DEFAULT_REGION = "us-east-1"


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    keys: Keys,
    *,
    region: str,
    now: datetime,
    payload_hash: str = UNSIGNED_PAYLOAD,
) -> dict[str, str]:
    """Return all headers to send: *headers*, each of them signed, and those that make up the signature.

    Path and query of *url* are signed as they stand: they must be sent as they are, percent-encoded, with nothing to
    normalise, and every parameter with its `=`. Names of *headers* are in lower case. *now* is aware; *payload_hash* is
    the hex SHA-256 of the body, or UNSIGNED_PAYLOAD. Without a *region* it is us-east-1, which most other servers take.
    """
    stamp = now.astimezone(UTC).strftime(SIGV4_TIMESTAMP)
    sent = {
        **headers,
        "host": _host(url),
        "x-amz-date": stamp,
        "x-amz-content-sha256": payload_hash,
    }
    credentials = Credentials(keys.access_key, keys.secret_key)
    auth = S3SigV4Auth(credentials, "s3", region or DEFAULT_REGION)
    request = AWSRequest(method=method, url=url, headers=sent)
    request.context["timestamp"] = stamp
    names = auth.signed_headers(auth.headers_to_sign(request))
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


def _host(url: str) -> str:
    """Return the Host of a URL: without the port that its scheme has anyway, as every client sends it."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.netloc if parts.port != usual else parts.netloc.removesuffix(f":{usual}")
