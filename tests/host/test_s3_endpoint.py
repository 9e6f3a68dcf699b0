"""The probe of a bucket and the folder marker against a real S3 server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from createos_engine.disk_words import Bucket, Keys
from createos_engine.s3.client import S3Client

from tests.host.s3server import OWNER, READER, SHARED, S3Server

pytestmark = pytest.mark.root

# Such a server on a busy machine may take longer than a person would wait.
CLIENT = S3Client(probe_s=60)


async def test_a_bucket_that_can_be_used_passes(s3: S3Server) -> None:
    bucket = s3.bucket("fine")

    assert await CLIENT.probe(bucket, OWNER) == ""


async def test_a_bucket_that_may_be_read_passes(s3: S3Server) -> None:
    assert await CLIENT.probe(s3.bucket(SHARED), READER) == ""


@pytest.mark.parametrize(
    ("keys", "cause"),
    [
        (Keys("AKIDNOBODY", OWNER.secret_key), "does not know the access key"),
        (Keys(OWNER.access_key, "wrong"), "the secret key does not belong to the access key"),
        (READER, "the keys, but they may not use this bucket"),
    ],
)
async def test_wrong_keys_are_told_apart(s3: S3Server, keys: Keys, cause: str) -> None:
    bucket = s3.bucket("guarded")

    assert cause in await CLIENT.probe(bucket, keys)


async def test_a_bucket_that_is_not_there_is_said(s3: S3Server) -> None:
    missing = replace(s3.bucket(SHARED), bucket="missing")

    assert "has no such bucket" in await CLIENT.probe(missing, OWNER)


async def test_the_folder_is_made_when_nothing_is_below_it(s3: S3Server) -> None:
    bucket = s3.bucket("folders")

    assert await CLIENT.put_marker(bucket, OWNER, "new/deep and wïde") == ""

    assert s3.keys("folders") == ["new/deep and wïde/"]


async def test_a_folder_with_something_below_it_is_left_as_it_is(s3: S3Server) -> None:
    bucket = s3.bucket("filled")
    s3.put("filled", "old/file", b"text")

    assert await CLIENT.put_marker(bucket, OWNER, "old") == ""

    assert s3.keys("filled") == ["old/file"]


async def test_a_folder_that_may_not_be_made_is_said(s3: S3Server) -> None:
    bucket: Bucket = s3.bucket(SHARED)

    assert "may not use this bucket" in await CLIENT.put_marker(bucket, READER, "new")
    assert s3.keys(SHARED) == []
