"""The second lock of a sub_path: a listing is read before it is passed on.

Tokens of a list are opaque: what a server makes of one that a guest has made up is not known here, and servers that
keep objects as files read folders from it. What a listing names is therefore looked at, whatever was asked.
"""

from __future__ import annotations

from urllib.parse import unquote, unquote_plus
from xml.etree import ElementTree

# A thousand keys of a thousand bytes, each byte written as %XX, and what is said about each of them.
MOST_LISTING_BYTES = 8 * 1024 * 1024
_NAMING = frozenset({"Key", "NextMarker", "NextKeyMarker"})


def stays_below(body: bytes, sub_path: str) -> bool:
    """Tell whether a listing is one, and names nothing but what is below the folder."""
    named = names(body)
    return named is not None and all(_is_below(name, sub_path) for name in named)


def names(body: bytes) -> list[str] | None:
    """Return what a listing names: keys, folders, and where it goes on; None when it is no listing.

    The prefix of the root is the request's.
    """
    # Without a document type there are no entities, whose expansion takes memory without end.
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        return None
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return None
    named = [element.text or "" for element in root.iter() if _local(element) in _NAMING]
    folders = [part for element in root if _local(element) == "CommonPrefixes" for part in element]
    return [name for name in (*named, *(folder.text or "" for folder in folders)) if name]


def _is_below(name: str, sub_path: str) -> bool:
    """Tell whether a name is below the folder: as it stands, or as it was before it was encoded for the listing."""
    return any(read.startswith(f"{sub_path}/") for read in (name, unquote(name), unquote_plus(name)))


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
