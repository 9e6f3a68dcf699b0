"""The S3 server that tests of disks use does what they rely on."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.host.netlab import SERVER_V4
from tests.host.s3server import READER, SHARED, S3Server

pytestmark = pytest.mark.root


def test_an_object_is_found_where_it_was_put(s3: S3Server) -> None:
    s3.bucket("boxes")

    s3.put("boxes", "a/b", b"text")

    assert s3.keys("boxes") == ["a/b"]
    assert s3.get("boxes", "a/b") == b"text"


def test_a_bucket_that_is_there_is_kept(s3: S3Server) -> None:
    s3.bucket("kept")
    s3.put("kept", "a", b"text")

    bucket = s3.bucket("kept")

    assert (bucket.endpoint, bucket.bucket) == (f"http://{SERVER_V4}:8333", "kept")
    assert s3.keys("kept") == ["a"]


def test_the_reader_reads_the_shared_bucket_and_nothing_else(s3: S3Server) -> None:
    s3.bucket("private")
    reader = s3.client(READER)

    reader.list_objects_v2(Bucket=SHARED)

    with pytest.raises(ClientError, match="AccessDenied"):
        reader.put_object(Bucket=SHARED, Key="a", Body=b"")
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.list_objects_v2(Bucket="private")
