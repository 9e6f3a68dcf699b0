"""Object keys as a guest writes them: decoded once, and only such as every server understands in the same way."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, unquote_to_bytes

from createos_engine.s3.refusal import Refusal, malformed

MOST_KEY_BYTES = 1024
_WRONG_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
# Servers that keep objects as files clean such paths, and end up somewhere else.
_STEPS = frozenset({".", ".."})


def decoded(text: str) -> str:
    """Return percent-encoded *text* decoded exactly once; a `+` is a `+`. Raises Refusal."""
    if _WRONG_ESCAPE.search(text):
        raise malformed("a % in a URL is followed by two hexadecimal digits; write a % itself as %25")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as exc:
        raise malformed("names of objects are UTF-8; rename what has other bytes in its name") from exc


def require_plain(text: str) -> None:
    """Raise Refusal for a key, or the beginning of one, that some server could take for another."""
    if len(text.encode()) > MOST_KEY_BYTES:
        raise malformed(f"the name of an object has at most {MOST_KEY_BYTES} bytes; use a shorter one")
    require_no_steps(text)
    if "" in text.split("/")[:-1]:
        raise Refusal("no part of an object's name is empty here; use another name")


def require_no_steps(text: str) -> None:
    """Raise Refusal for what could lead out of a folder on a server that keeps objects as files."""
    if any(unicodedata.category(char) == "Cc" for char in text) or "\\" in text:
        raise Refusal("names of objects have no control characters and no backslashes here; use another name")
    # Decoded once more: proxies in front of a server do that, and no name needs it.
    if not _STEPS.isdisjoint([*text.split("/"), *unquote(text).split("/")]):
        raise Refusal("no part of an object's name is '.' or '..' here; use another name")


def require_below(text: str, sub_path: str) -> None:
    """Raise Refusal unless *text* is plain and begins with the folder *sub_path*; empty means that all is allowed."""
    require_plain(text)
    if sub_path and not text.startswith(f"{sub_path}/"):
        raise Refusal("this disk is attached with a sub_path, and only what is below it can be reached")
