"""A client with made-up keys gets through the relay what the attachment allows from a real server, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from createos_engine.disk_words import Bucket

from tests.host.s3relay import BUCKET, FOLDER, MIB, RelayPort, code_of, get, noise, put, relayed
from tests.host.s3server import OWNER, SHARED, S3Server

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def bucket(s3: S3Server) -> Bucket:
    made = s3.bucket(BUCKET)
    s3.put(BUCKET, "secret", b"not for the guest")
    s3.put(BUCKET, "a/bc", b"nor this")
    return made


@pytest.fixture
def port(bucket: Bucket) -> Iterator[RelayPort]:
    with relayed(bucket, lambda: OWNER, FOLDER) as port:
        yield port


@pytest.fixture
def client(port: RelayPort) -> Any:
    return port.client()


@pytest.mark.parametrize("key", ["plain", "with space", "ü+%41;=&?#~@:$'(),!*", "deep/er/and deeper", "folder/"])
def test_object_is_stored_and_read_under_its_name(client: Any, s3: S3Server, key: str) -> None:
    put(client, f"a/b/{key}", b"text" if not key.endswith("/") else b"")

    assert get(client, f"a/b/{key}") == s3.get(BUCKET, f"a/b/{key}")
    assert f"a/b/{key}" in s3.keys(BUCKET, "a/b/")


def test_object_keeps_its_type_and_metadata(client: Any) -> None:
    put(client, "a/b/typed", b"text", ContentType="text/x-test", Metadata={"mode": "33188", "mtime": "1.5"})

    told = client.head_object(Bucket=BUCKET, Key="a/b/typed")

    assert (told["ContentType"], told["ContentLength"]) == ("text/x-test", 4)
    assert told["Metadata"] == {"mode": "33188", "mtime": "1.5"}


def test_range_and_condition_are_the_servers_to_answer(client: Any) -> None:
    put(client, "a/b/ranged", b"0123456789")
    etag = client.head_object(Bucket=BUCKET, Key="a/b/ranged")["ETag"]

    assert get(client, "a/b/ranged", Range="bytes=3-5") == b"345"
    assert code_of(lambda: get(client, "a/b/ranged", IfNoneMatch=etag)) == "304"
    assert code_of(lambda: get(client, "a/b/ranged", Range="bytes=20-30")) == "InvalidRange"


def test_large_object_comes_back_as_it_was(client: Any) -> None:
    data = noise(40 * MIB)

    put(client, "a/b/large", data)

    assert hashlib.sha256(get(client, "a/b/large")).digest() == hashlib.sha256(data).digest()


def test_upload_in_parts_makes_one_object(client: Any, s3: S3Server) -> None:
    parts = [noise(8 * MIB, 1), noise(8 * MIB, 2), noise(4 * MIB, 3)]
    upload = {"Bucket": BUCKET, "Key": "a/b/parts"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]

    done = [
        {"PartNumber": number, "ETag": client.upload_part(**upload, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate(parts, 1)
    ]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})

    assert get(client, "a/b/parts") == b"".join(parts) == s3.get(BUCKET, "a/b/parts")


def test_upload_in_parts_can_be_given_up(client: Any) -> None:
    upload = {"Bucket": BUCKET, "Key": "a/b/given-up"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    client.upload_part(**upload, PartNumber=1, Body=b"x")

    client.abort_multipart_upload(**upload)

    assert code_of(lambda: get(client, "a/b/given-up")) == "NoSuchKey"
    assert client.list_multipart_uploads(Bucket=BUCKET, Prefix="a/b/").get("Uploads", []) == []


def test_part_is_copied_from_an_object_below(client: Any) -> None:
    put(client, "a/b/from", noise(5 * MIB))
    upload = {"Bucket": BUCKET, "Key": "a/b/to"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]

    copied = client.upload_part_copy(
        **upload, PartNumber=1, CopySource=f"{BUCKET}/a/b/from", CopySourceRange="bytes=0-99"
    )
    done = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})

    assert get(client, "a/b/to") == noise(5 * MIB)[:100]


def test_object_is_copied_with_new_metadata_and_removed(client: Any) -> None:
    put(client, "a/b/old name+", b"text")

    source = {"Bucket": BUCKET, "Key": "a/b/old name+"}
    client.copy_object(
        Bucket=BUCKET, Key="a/b/new", CopySource=source, MetadataDirective="REPLACE", Metadata={"mode": "33261"}
    )
    client.delete_object(Bucket=BUCKET, Key="a/b/old name+")

    assert get(client, "a/b/new") == b"text"
    assert client.head_object(Bucket=BUCKET, Key="a/b/new")["Metadata"] == {"mode": "33261"}
    assert code_of(lambda: get(client, "a/b/old name+")) == "NoSuchKey"


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_folder_is_listed_page_by_page(client: Any, operation: str) -> None:
    names = [f"a/b/pages/{number:02} ü" for number in range(5)]
    for name in names:
        put(client, name)

    pages = list(
        client.get_paginator(operation).paginate(Bucket=BUCKET, Prefix="a/b/pages/", PaginationConfig={"PageSize": 2})
    )

    assert [found["Key"] for page in pages for found in page["Contents"]] == names
    assert len(pages) == 3


def test_list_without_a_prefix_is_one_of_the_folder(client: Any) -> None:
    put(client, "a/b/only")

    names = [found["Key"] for found in client.list_objects(Bucket=BUCKET)["Contents"]]

    assert "a/b/only" in names
    assert all(name.startswith("a/b/") for name in names)


def test_folders_are_listed_as_folders(client: Any) -> None:
    put(client, "a/b/tree/one/x")
    put(client, "a/b/tree/two/y")

    listed = client.list_objects(Bucket=BUCKET, Prefix="a/b/tree/", Delimiter="/")

    assert [found["Prefix"] for found in listed["CommonPrefixes"]] == ["a/b/tree/one/", "a/b/tree/two/"]


def test_bucket_says_that_it_is_there(client: Any) -> None:
    client.head_bucket(Bucket=BUCKET)
    client.get_bucket_location(Bucket=BUCKET)


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("get_object", {"Key": "secret"}),
        ("get_object", {"Key": "a/bc"}),
        ("get_object", {"Key": "a/b/../bc"}),
        ("get_object", {"Key": "a/b//../../secret"}),
        ("put_object", {"Key": "secret", "Body": b"x"}),
        ("put_object", {"Key": "secret", "Body": noise(8 * MIB)}),
        ("put_object", {"Key": "a/b/public", "ACL": "public-read"}),
        ("put_object", {"Key": "a/b/tagged", "Tagging": "a=b"}),
        ("delete_object", {"Key": "secret"}),
        ("delete_objects", {"Delete": {"Objects": [{"Key": "secret"}]}}),
        ("copy_object", {"Key": "a/b/stolen", "CopySource": f"{BUCKET}/secret"}),
        ("copy_object", {"Key": "a/b/stolen", "CopySource": f"{SHARED}/x"}),
        ("copy_object", {"Key": "stolen", "CopySource": f"{BUCKET}/a/b/x"}),
        ("create_multipart_upload", {"Key": "secret"}),
        ("list_objects", {"Prefix": ""}),
        ("list_objects_v2", {"Prefix": "a/"}),
        ("list_objects_v2", {"Prefix": "a/b/", "StartAfter": "s"}),
        ("list_object_versions", {"Prefix": "a/b/"}),
        ("get_bucket_acl", {}),
        ("get_bucket_policy", {}),
        ("put_bucket_policy", {"Policy": "{}"}),
        ("get_object_acl", {"Key": "a/b/x"}),
        ("get_object_tagging", {"Key": "a/b/x"}),
        ("delete_bucket", {}),
    ],
)
def test_everything_outside_is_denied(client: Any, s3: S3Server, operation: str, asked: dict[str, Any]) -> None:
    before = s3.keys(BUCKET)

    assert code_of(lambda: getattr(client, operation)(Bucket=BUCKET, **asked)) in ("AccessDenied", "InvalidRequest")

    assert s3.keys(BUCKET) == before
    assert s3.get(BUCKET, "secret") == b"not for the guest"


def test_other_buckets_are_not_there(client: Any) -> None:
    assert code_of(client.list_buckets) == "AccessDenied"
    assert code_of(lambda: client.list_objects(Bucket=SHARED, Prefix="a/b/")) == "AccessDenied"
    assert code_of(lambda: client.create_bucket(Bucket="mine")) == "AccessDenied"


def test_without_a_sub_path_the_whole_bucket_is_there(bucket: Bucket) -> None:
    with relayed(bucket, lambda: OWNER) as port:
        assert get(port.client(), "secret") == b"not for the guest"
        listed = port.client().list_objects(Bucket=BUCKET)

    assert "secret" in [found["Key"] for found in listed["Contents"]]
