"""A bucket is part of the path or of the name, and keys are encoded as they are signed."""

from __future__ import annotations

import pytest
from createos_engine.disk_words import Bucket
from createos_engine.s3.addressing import url_of


@pytest.mark.parametrize(
    ("bucket", "url"),
    [
        (Bucket("https://s3.test", "photos"), "https://photos.s3.test/a"),
        (Bucket("https://s3.test:9000", "photos"), "https://photos.s3.test:9000/a"),
        (Bucket("https://s3.test", "photos", path_style=True), "https://s3.test/photos/a"),
        (Bucket("https://s3.test", "my.photos"), "https://s3.test/my.photos/a"),
        (Bucket("http://s3.test", "my.photos"), "http://my.photos.s3.test/a"),
        (Bucket("http://198.51.100.7:8333", "photos"), "http://198.51.100.7:8333/photos/a"),
        (Bucket("http://[2001:db8::7]:8333", "photos"), "http://[2001:db8::7]:8333/photos/a"),
    ],
)
def test_url_has_the_style_of_the_disk_where_that_can_work(bucket: Bucket, url: str) -> None:
    assert url_of(bucket, "a") == url


def test_bucket_itself_has_a_url() -> None:
    assert url_of(Bucket("http://s3.test", "photos", path_style=True)) == "http://s3.test/photos"
    assert url_of(Bucket("http://s3.test", "photos"), query="location=") == "http://photos.s3.test/?location="


def test_key_is_encoded_once_and_slashes_stay() -> None:
    assert url_of(Bucket("http://s3.test", "b", path_style=True), "a b/ü+%41?#~") == (
        "http://s3.test/b/a%20b/%C3%BC%2B%2541%3F%23~"
    )
