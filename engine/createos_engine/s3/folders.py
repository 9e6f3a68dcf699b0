"""Folders that no object stands for, such as clients leave that upload `a/b` and nothing else.

s3fs asks for a folder in four ways, one after the other, or, when it is told to, only for the object `a/`. It is told
to here, since each request costs a guest more than the host: what the other three would find is found for it.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

import httpx

from createos_engine.s3.addressing import encoded
from createos_engine.s3.headers import COPY_SOURCE
from createos_engine.s3.listing import names
from createos_engine.s3.rules import Permitted
from createos_engine.s3.signing import EMPTY_PAYLOAD

MOST_LISTING_BYTES = 65_536
_COPY = (COPY_SOURCE, "x-amz-metadata-directive")
_TYPE = {"content-type": "application/x-directory"}


def meant(permitted: Permitted) -> str:
    """Return the folder whose object a request asks for or copies, empty when it is about something else."""
    if permitted.query:
        return ""
    if permitted.method == "HEAD":
        key = permitted.key
    else:
        key = unquote(permitted.headers.get(COPY_SOURCE, "")).removeprefix("/").partition("/")[2]
    return key if key.endswith("/") else ""


def look_into(folder: str) -> Permitted:
    """Return the request that tells whether something is in a folder."""
    return Permitted("GET", "", f"list-type=2&max-keys=1&prefix={encoded(folder)}", {}, EMPTY_PAYLOAD, lists=True)


def holds(listing: bytes, folder: str) -> bool:
    """Tell whether the answer to `look_into` names anything."""
    return any(name.startswith(folder) for name in names(listing) or ())


def made(copying: Permitted) -> Permitted:
    """Return the request that makes the object of a folder, which is empty, out of one that would copy it."""
    kept = {name: value for name, value in copying.headers.items() if not name.startswith(_COPY)}
    return replace(copying, headers={**_TYPE, **kept}, payload_hash=EMPTY_PAYLOAD)


def found() -> httpx.Response:
    """Return what is answered for the object of a folder that has none."""
    return httpx.Response(200, headers={**_TYPE, "content-length": "0"}, stream=httpx.ByteStream(b""))
