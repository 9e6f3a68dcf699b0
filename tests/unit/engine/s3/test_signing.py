"""Signatures are those of the published examples of S3, and cover every header."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from createos_engine.disk_words import Keys
from createos_engine.s3.signing import EMPTY_PAYLOAD, UNSIGNED_PAYLOAD, signed

# The keys, the moment and the signatures of the examples in the documentation of S3.
KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
MOMENT = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "https://examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("url", "headers", "signature"),
    [
        ("/test.txt", {"range": "bytes=0-9"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("/?lifecycle=", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_signature_is_that_of_the_published_example(url: str, headers: dict[str, str], signature: str) -> None:
    sent = signed("GET", HOST + url, headers, KEYS, region="us-east-1", now=MOMENT, payload_hash=EMPTY_PAYLOAD)

    assert sent["authorization"].endswith(f"Signature={signature}")


def test_every_header_is_signed() -> None:
    sent = signed("PUT", HOST + "/a", {"x-amz-meta-mode": "33188"}, KEYS, region="", now=MOMENT)

    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-mode," in sent["authorization"]
    assert sent["x-amz-content-sha256"] == UNSIGNED_PAYLOAD
    assert sent["x-amz-date"] == "20130524T000000Z"


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("http://s3.test:80", "s3.test"),
        ("https://s3.test:443", "s3.test"),
        ("http://s3.test:8333", "s3.test:8333"),
        ("https://[2001:db8::1]:443", "[2001:db8::1]"),
    ],
)
def test_host_has_no_port_that_its_scheme_has_anyway(endpoint: str, host: str) -> None:
    assert signed("GET", endpoint + "/b", {}, KEYS, region="", now=MOMENT)["host"] == host


def test_secret_key_is_in_nothing_that_is_sent() -> None:
    sent = signed("GET", HOST + "/a", {}, KEYS, region="", now=MOMENT)

    assert KEYS.secret_key not in str(sent)
    assert KEYS.secret_key not in repr(KEYS)
