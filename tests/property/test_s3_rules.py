"""Whatever a guest sends: what passes names a key below the sub_path, in one form, with listed parameters only."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

import httpx
from createos_engine.disk_words import Bucket
from createos_engine.s3.addressing import encoded_key, url_of
from createos_engine.s3.refusal import Refusal
from createos_engine.s3.rules import OPERATIONS, Permitted, Rules
from hypothesis import example, given
from hypothesis import strategies as st

BUCKET, FOLDER = "photos", "a/b"
RULES = Rules(BUCKET, FOLDER)
LISTED = frozenset().union(*(operation.needs | operation.may for operation in OPERATIONS))

METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "get"])
PIECES = st.sampled_from(
    [
        *(
            "a",
            "b",
            "/",
            "//",
            "photos",
            "other",
            ".",
            "..",
            "%2e",
            "%2E",
            "%2f",
            "%252e",
            "%252f",
            "%00",
            "%0a",
            "%5c",
        ),
        *(
            "\\",
            ";",
            "+",
            "%2b",
            "@",
            ":",
            "#",
            "?",
            "&",
            "=",
            "http://",
            "%C3%BC",
            "%ff",
            "%c0%ae",
            "%",
            " ",
            "~",
            "*",
        ),
        *("prefix=", "marker=", "list-type=2", "uploads", "uploadId=", "partNumber=", "acl", "versionId=", "delete"),
        *(
            "continuation-token=",
            "start-after=",
            "location",
            "X-Amz-Signature=",
            "delimiter=/",
            "key-marker=",
            "Prefix=",
        ),
    ]
)
WILD = st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=20))
TARGETS = st.one_of(
    WILD,
    WILD.map("/photos/a/b/{}".format),
    WILD.map("/photos?prefix=a/b/&{}".format),
    st.tuples(WILD, WILD).map(lambda pair: f"/photos/a/b/{pair[0]}?{pair[1]}"),
)


def permitted(method: str, target: str, source: str | None = None) -> Permitted | None:
    headers = [] if source is None else [(b"x-amz-copy-source", source.encode())]
    try:
        return RULES.permit(method, target.encode(), headers)
    except Refusal:
        return None


def is_below(name: str) -> bool:
    """Tell whether a server finds a name below the folder, even if it decodes it again or cleans it as a path."""
    parts = name.split("/")
    steps = {".", ".."} & {*parts, *unquote(name).split("/")}
    return name.startswith(f"{FOLDER}/") and not steps and "" not in parts[:-1]


@given(METHODS, TARGETS)
@example("GET", "/photos/a/b/%2e%2e/%2e%2e/c")
@example("GET", "/photos/a/b/%252e%252e%252fc")
@example("GET", "/photos?prefix=a/b/&marker=other/x")
def test_allowed_request_names_only_what_is_below_the_sub_path(method: str, target: str) -> None:
    allowed = permitted(method, target)

    if allowed and allowed.key:
        assert is_below(allowed.key)
    if allowed and allowed.lists:
        asked = dict(parse_qsl(allowed.query, keep_blank_values=True))
        assert is_below(asked["prefix"])
        assert all(is_below(asked[name]) for name in ("marker", "start-after", "key-marker") if asked.get(name))


@given(METHODS, TARGETS)
def test_canonical_form_is_its_own_canonical_form(method: str, target: str) -> None:
    allowed = permitted(method, target)

    if allowed:
        again = permitted(method, f"/{BUCKET}/{encoded_key(allowed.key)}?{allowed.query}")
        assert again == allowed
        assert unquote(encoded_key(allowed.key)) == allowed.key


@given(METHODS, TARGETS)
def test_what_is_sent_is_what_was_signed(method: str, target: str) -> None:
    allowed = permitted(method, target)

    if allowed:
        url = url_of(Bucket("http://s3.test", BUCKET, path_style=True), allowed.key, allowed.query)
        assert f"http://s3.test{httpx.URL(url).raw_path.decode()}" == url


@given(METHODS, TARGETS)
def test_nothing_of_the_query_passes_that_is_not_listed(method: str, target: str) -> None:
    allowed = permitted(method, target)

    if allowed and allowed.query:
        assert {pair.partition("=")[0] for pair in allowed.query.split("&")} <= LISTED


@given(WILD.map("photos/a/b/{}".format) | WILD)
@example("photos/a/b/%2e%2e/c")
def test_object_is_copied_from_below_the_sub_path_only(source: str) -> None:
    allowed = permitted("PUT", "/photos/a/b/c", source)

    if allowed:
        bucket, _, key = unquote(allowed.headers["x-amz-copy-source"]).removeprefix("/").partition("/")
        assert bucket == BUCKET
        assert is_below(key)
