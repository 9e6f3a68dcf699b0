"""What an attached disk may ask is a list; everything else is refused with a sentence that names it."""

from __future__ import annotations

import pytest
from createos_engine.s3.refusal import Refusal
from createos_engine.s3.rules import Permitted, Rules

WHOLE, FOLDER = Rules("photos"), Rules("photos", "a/b")
Headers = list[tuple[bytes, bytes]]


def permit(rules: Rules, asked: str, headers: Headers | None = None) -> Permitted:
    method, target = asked.split(" ", 1)
    return rules.permit(method, target.encode("latin-1"), headers or [])


def refused(rules: Rules, asked: str, headers: Headers | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        permit(rules, asked, headers)
    return caught.value


@pytest.mark.parametrize(
    ("asked", "key", "query"),
    [
        ("HEAD /photos", "", ""),
        ("HEAD /photos/", "", ""),
        ("GET /photos?location", "", "location="),
        ("GET /photos?prefix=a/b/&delimiter=/&max-keys=2", "", "delimiter=%2F&max-keys=2&prefix=a%2Fb%2F"),
        ("GET /photos/?prefix=a%2fb%2fc&marker=a/b/c1", "", "marker=a%2Fb%2Fc1&prefix=a%2Fb%2Fc"),
        ("GET /photos?list-type=2&prefix=a/b/&continuation-token=x%2F/y%3D", "",
         "continuation-token=x%2F%2Fy%3D&list-type=2&prefix=a%2Fb%2F"),
        ("GET /photos?uploads&prefix=a/b/", "", "prefix=a%2Fb%2F&uploads="),
        ("GET /photos/a/b/c", "a/b/c", ""),
        ("HEAD /photos/a/b/", "a/b/", ""),
        ("PUT /photos/a/b/%C3%BC%20+%2b;%25", "a/b/ü ++;%", ""),
        ("DELETE /photos/a%2Fb%2Fc", "a/b/c", ""),
        ("POST /photos/a/b/c?uploads", "a/b/c", "uploads="),
        ("PUT /photos/a/b/c?uploadId=2~x.y_z-&partNumber=1", "a/b/c", "partNumber=1&uploadId=2~x.y_z-"),
        ("POST /photos/a/b/c?uploadId=x", "a/b/c", "uploadId=x"),
        ("DELETE /photos/a/b/c?uploadId=x", "a/b/c", "uploadId=x"),
        ("GET /%70hotos/a/b/c", "a/b/c", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rules", [WHOLE, FOLDER])
def test_what_a_disk_needs_passes_in_canonical_form(rules: Rules, asked: str, key: str, query: str) -> None:
    permitted = permit(rules, asked)

    assert (permitted.key, permitted.query) == (key, query)


@pytest.mark.parametrize(
    "asked",
    [
        "GET /",
        "GET /other/a",
        "PUT /photos",
        "DELETE /photos",
        "POST /photos?delete",
        "OPTIONS /photos/a/b/c",
        "PATCH /photos/a/b/c",
        *(
            f"{method} /photos{key}?{name}"
            for name in (
                "acl",
                "policy",
                "tagging",
                "versions",
                "versioning",
                "lifecycle",
                "cors",
                "website",
                "logging",
            )
            for method, key in (("GET", ""), ("PUT", ""), ("GET", "/a/b/c"), ("PUT", "/a/b/c"), ("DELETE", "/a/b/c"))
        ),
        "GET /photos/a/b/c?versionId=1",
        "GET /photos/a/b/c?uploadId=x",
        "GET /photos/a/b/c?response-content-type=text/html",
        "GET /photos/a/b/c?X-Amz-Signature=0&X-Amz-Credential=x",
        "GET /photos/a/b/c?AWSAccessKeyId=x&Signature=y",
        "PUT /photos/a/b/c?partNumber=1",
        "PUT /photos/a/b/c?PartNumber=1&UploadID=x",
        "POST /photos/a/b/c",
        "POST /photos/a/b/c?select&select-type=2",
        "GET /photos?Location",
        "GET /photos?list-type=2&marker=a/b/c&prefix=a/b/",
        "GET /photos?&prefix=a/b/",
    ],
)
def test_everything_else_is_denied(asked: str) -> None:
    assert refused(FOLDER, asked).status == 403


@pytest.mark.parametrize(
    "asked",
    [
        "GET /photos/a",
        "GET /photos/a/b",
        "PUT /photos/a/bc",
        "DELETE /photos/A/B/c",
        "GET /photos/c/a/b/d",
        "GET /photos?prefix=",
        "GET /photos?prefix=a/b",
        "GET /photos?prefix=a/&delimiter=/",
        "GET /photos?list-type=2&prefix=a/c/",
        "GET /photos?prefix=a/b/&marker=z",
        "GET /photos?prefix=a/b/&list-type=2&start-after=z/z",
        "GET /photos?uploads&prefix=a/b/&key-marker=z",
    ],
)
def test_nothing_outside_of_the_sub_path_is_reached(asked: str) -> None:
    assert refused(FOLDER, asked).code == "AccessDenied"


@pytest.mark.parametrize(
    "path",
    [
        "a/b/../../c", "a/b/%2e%2e/%2e%2e/c", "a/b/%2E./c", "a/b/.%2e", "a/b/..", "a/b/./c", "a/b//c", "a/b/%2Fc",
        "/a/b/c", "a/b/c%00", "a/b/%0d%0aHost:x", "a/b/%7F", "a/b/%c2%85", "a/b/%5c..%5cc", "a/b/\\..\\c",
        "%2e%2e/a/b/c", "a/b/%2e%2e%2f%2e%2e%2fc", "a//b/c", "a/b/c//",
        "a/b/%252e%252e/c", "a/b/x%252f..%252fc",
    ],
)  # fmt: skip
@pytest.mark.parametrize("rules", [WHOLE, FOLDER])
def test_name_that_some_server_would_clean_is_refused(rules: Rules, path: str) -> None:
    assert refused(rules, f"GET /photos/{path}").status == 403
    assert refused(rules, f"GET /photos?prefix={path}").status == 403
    assert refused(rules, "PUT /photos/a/b/x", [(b"x-amz-copy-source", f"photos/{path}".encode())]).status == 403


@pytest.mark.parametrize(
    "asked",
    [
        "GET http://other.test/photos/a/b/c",
        "GET photos/a/b/c",
        "GET *",
        "GET //other.test/photos/a/b/c?a#b",
        "GET /photos/a/b/c#d",
        "GET /photos/a/b/%",
        "GET /photos/a/b/%zz",
        "GET /photos/a/b/%u0041",
        "GET /photos/a/b/%ff",
        "GET /photos/a/b/%c0%ae%c0%ae/c",
        "GET /photos/a/b/\xfc",
        "GET /photos/a/b/c d",
        f"GET /photos/a/b/{'x' * 1025}",
        "GET /photos?prefix=a/b/+c",
        "GET /photos?prefix=a/b/&prefix=z",
        "GET /photos?prefix=a/b/&%70refix=z",
        "GET /photos?prefix=a/b/&max-keys=-1",
        "GET /photos?prefix=a/b/&list-type=3",
        "GET /photos?prefix=a/b/&delimiter=b",
        "PUT /photos/a/b/c?partNumber=1&uploadId=../x",
        "PUT /photos/a/b/c?partNumber=1&uploadId=..",
        "PUT /photos/a/b/c?partNumber=x&uploadId=y",
        "GET /photos?location=x",
    ],
)
def test_what_is_not_said_as_s3_says_it_is_refused(asked: str) -> None:
    assert refused(FOLDER, asked).status == 400


def test_host_of_a_request_and_userinfo_name_no_bucket() -> None:
    assert refused(WHOLE, "GET /a/b/c", [(b"host", b"photos.s3.test")]).status == 403
    assert refused(WHOLE, "GET //photos@other/a", [(b"host", b"photos")]).status == 403


def test_key_is_decoded_exactly_once() -> None:
    assert permit(FOLDER, "GET /photos/a/b/%2541%25").key == "a/b/%41%"


@pytest.mark.parametrize(
    ("asked", "query"),
    [
        ("GET /photos", "prefix=a%2Fb%2F"),
        ("GET /photos?list-type=2", "list-type=2&prefix=a%2Fb%2F"),
        ("GET /photos?uploads", "prefix=a%2Fb%2F&uploads="),
    ],
)
def test_list_without_a_prefix_is_one_of_the_sub_path(asked: str, query: str) -> None:
    assert permit(FOLDER, asked).query == query
    assert "prefix" not in permit(WHOLE, asked).query


def test_listing_is_looked_at_again_and_an_object_is_not() -> None:
    assert permit(FOLDER, "GET /photos?prefix=a/b/").lists
    assert not permit(FOLDER, "GET /photos/a/b/c").lists


def test_reason_names_what_was_asked_and_repeats_nothing_that_cannot_be_read() -> None:
    assert "GET of the bucket with acl is not allowed" in refused(WHOLE, "GET /photos?acl").sentence
    assert "with x1m is not" in refused(WHOLE, "GET /photos?x%1b1m").sentence
