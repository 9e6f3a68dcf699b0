"""What may be said of a bucket."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from createos_engine.s3.endpoint import checked_bucket, checked_endpoint, checked_region
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://s3.example.org", "https://s3.example.org"),
        (" HTTPS://S3.Example.org/ ", "https://s3.example.org"),
        ("https://s3.example.org:443", "https://s3.example.org"),
        ("http://minio_1:9000", "http://minio_1:9000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[2001:DB8::1]:9000/", "http://[2001:db8::1]:9000"),
    ],
)
def test_an_endpoint_is_scheme_host_and_port(text: str, kept: str) -> None:
    assert checked_endpoint(text) == kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no http or https URL"),
        ("s3.example.org", "no http or https URL"),
        ("ftp://s3.example.org", "no http or https URL"),
        ("file:///etc/passwd", "no http or https URL"),
        ("https://", "no http or https URL"),
        ("https://:443", "is no host"),
        ("https://ada:secret@s3.example.org", "has a user in it"),
        ("https://s3.example.org/bucket", "more than scheme, host and port"),
        ("https://s3.example.org?x=1", "more than scheme, host and port"),
        ("https://s3.example.org?", "more than scheme, host and port"),
        ("https://s3.example.org#x", "more than scheme, host and port"),
        ("https://s3.example.org:0", "port 0"),
        ("https://s3.example.org:65536", "is no URL"),
        ("https://s3.example.org:x", "is no URL"),
        ("https://s3 .example.org", "is no host"),
        ("https://-s3.example.org", "is no host"),
        ("https://s3..example.org", "is no host"),
        ("https://s3.example.org\\@evil", "has a user in it"),
        ("https://[::1", "is no URL"),
        ("https://münchen.example", "is no host"),
        ("https://999.0.0.1", "is no address"),
        ("https://010.0.0.1", "is no address"),
        ("https://127.1", "is no address"),
        ("https://" + "a." * 130 + "org", "is no host"),
    ],
)
def test_anything_else_is_refused_with_the_form_of_one(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked_endpoint(text)


@given(
    st.one_of(st.text(max_size=40), st.text("htps:/@?#[]\\.-_a1 \n\t%", max_size=30).map(lambda text: f"http://{text}"))
)
def test_what_is_taken_names_a_host_and_nothing_else(text: str) -> None:
    try:
        kept = checked_endpoint(text)
    except ValueError:
        return

    parts = urlsplit(kept)
    assert parts.scheme in ("http", "https")
    assert parts.hostname
    assert (parts.path, parts.query, parts.fragment, parts.username) == ("", "", "", None)
    assert checked_endpoint(kept) == kept


@pytest.mark.parametrize("name", ["abc", "my-bucket", "my.bucket.org", "Old_Bucket", "a" * 63])
def test_a_bucket_has_the_name_it_has(name: str) -> None:
    assert checked_bucket(name) == name


@pytest.mark.parametrize("name", ["", "ab", "a" * 64, "-ab", "ab-", "a/b", "a..b", "a b", "a\nb", "bücket", "abc\n"])
def test_what_no_server_calls_a_bucket_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a bucket"):
        checked_bucket(name)


def test_a_region_may_be_left_out() -> None:
    assert (checked_region(""), checked_region("eu-central-1")) == ("", "eu-central-1")


@pytest.mark.parametrize("text", ["eu 1", "eu/1", "-eu", "eu\n", "a" * 64])
def test_a_region_with_other_characters_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no region"):
        checked_region(text)
