"""What an attached disk may ask of its endpoint: a list of what is allowed, and nothing else passes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from createos_engine.s3.addressing import encoded
from createos_engine.s3.headers import Headers, inward, payload_hash
from createos_engine.s3.object_keys import decoded, require_below, require_no_steps
from createos_engine.s3.refusal import Refusal, malformed

_TARGET = re.compile(rb"/[\x21-\x22\x24-\x7e]*")
_NUMBER = re.compile(r"\d{1,5}")
# The name of a folder on servers that keep parts of uploads as files.
_UPLOAD = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~=+-]{1,1024}")
_FORMS = {
    "delimiter": re.compile(r"/?"),
    "encoding-type": re.compile("url"),
    "fetch-owner": re.compile("true|false"),
    "list-type": re.compile("2"),
    "location": re.compile(""),
    "max-keys": _NUMBER,
    "max-uploads": _NUMBER,
    "partNumber": _NUMBER,
    "upload-id-marker": _UPLOAD,
    "uploadId": _UPLOAD,
    "uploads": re.compile(""),
}
_BELOW = frozenset({"prefix", "marker", "start-after", "key-marker"})


@dataclass(frozen=True)
class Operation:
    """A request of S3 that passes: which parameters make it out, and which it may have besides."""

    method: str
    of_object: bool
    needs: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    lists: bool = False

    def fits(self, method: str, of_object: bool, names: frozenset[str]) -> bool:
        """Tell whether a request is this one."""
        return (method, of_object) == (self.method, self.of_object) and self.needs <= names <= self.needs | self.may


_PAGED = frozenset({"prefix", "delimiter", "encoding-type"})
_V1 = _PAGED | {"marker", "max-keys"}
_V2 = _PAGED | {"start-after", "continuation-token", "max-keys", "fetch-owner"}
_UPLOADS = _PAGED | {"key-marker", "upload-id-marker", "max-uploads"}
OPERATIONS = (
    Operation("HEAD", of_object=False),
    Operation("GET", of_object=False, needs=frozenset({"location"})),
    Operation("GET", of_object=False, may=_V1, lists=True),
    Operation("GET", of_object=False, needs=frozenset({"list-type"}), may=_V2, lists=True),
    Operation("GET", of_object=False, needs=frozenset({"uploads"}), may=_UPLOADS, lists=True),
    *(Operation(method, of_object=True) for method in ("GET", "HEAD", "PUT", "DELETE")),
    Operation("POST", of_object=True, needs=frozenset({"uploads"})),
    Operation("PUT", of_object=True, needs=frozenset({"partNumber", "uploadId"})),
    Operation("POST", of_object=True, needs=frozenset({"uploadId"})),
    Operation("DELETE", of_object=True, needs=frozenset({"uploadId"})),
)


@dataclass(frozen=True)
class Permitted:
    """A request as it goes to the endpoint. `key` is decoded, empty for the bucket; `query` is canonical.

    The answer to one that `lists` names nothing outside of the sub_path, whatever the endpoint makes of the query.
    """

    method: str
    key: str
    query: str
    headers: Mapping[str, str]
    payload_hash: str
    lists: bool


@dataclass(frozen=True)
class Rules:
    """What one attachment may ask: its bucket, and below its sub_path when it has one.

    A list without a prefix is one of the sub_path then: nothing else is there.
    """

    bucket: str
    sub_path: str = ""

    def permit(self, method: str, target: bytes, headers: Headers) -> Permitted:
        """Return the canonical form of a request, or raise Refusal."""
        given = list(headers)
        path, query = _split(target)
        key = self._key(path)
        parameters = _parameters(query)
        operation = _operation(method, key, parameters)
        if operation.lists and self.sub_path:
            # s3fs lists the bucket without a prefix to see whether it may, also when it mounts a folder of it.
            parameters.setdefault("prefix", f"{self.sub_path}/")
        self._require_allowed(operation, key, parameters)
        return Permitted(
            method=method,
            key=key,
            query="&".join(f"{encoded(name)}={encoded(value)}" for name, value in sorted(parameters.items())),
            headers=inward(method, given, self.bucket, self.sub_path),
            payload_hash=payload_hash(given),
            lists=operation.lists,
        )

    def _key(self, path: str) -> str:
        name, _, key = decoded(path).removeprefix("/").partition("/")
        if name != self.bucket:
            raise Refusal("only the bucket of the disk can be reached, in path style; name it first in the path")
        return key

    def _require_allowed(self, operation: Operation, key: str, parameters: Mapping[str, str]) -> None:
        if operation.of_object:
            require_below(key, self.sub_path)
        for name, value in parameters.items():
            if name == "prefix" or (name in _BELOW and value):
                require_below(value, self.sub_path)
            elif name == "continuation-token":
                require_no_steps(value)


def _split(target: bytes) -> tuple[str, str]:
    """Return path and query of a target, as they were sent."""
    if not _TARGET.fullmatch(target):
        raise malformed("a request names a path that begins with a slash, percent-encoded and without a fragment")
    path, _, query = target.decode("ascii").partition("?")
    return path, query


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query. What two readers could understand in two ways is refused."""
    if "+" in query:
        raise malformed("a + in a query has two meanings; write %20 or %2B")
    parameters: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        name = decoded(name)
        if name in parameters:
            raise malformed(f"the parameter {_shown(name)} is there twice; send it once")
        parameters[name] = decoded(value)
        form = _FORMS.get(name)
        if form and not form.fullmatch(parameters[name]):
            raise malformed(f"the parameter {_shown(name)} has a value that is not allowed on a disk")
    return parameters


def _operation(method: str, key: str, parameters: Mapping[str, str]) -> Operation:
    names = frozenset(parameters)
    for operation in OPERATIONS:
        if operation.fits(method, bool(key), names):
            return operation
    asked = f"{_shown(method)} of {'an object' if key else 'the bucket'}"
    if names:
        asked += f" with {', '.join(_shown(name) for name in sorted(names)[:5])}"
    raise Refusal(f"{asked} is not allowed on a disk; it reads, writes, lists, copies and deletes objects")


def _shown(text: str) -> str:
    """Return a word of the guest as it may stand in a sentence."""
    return "".join(char for char in text[:40] if char.isascii() and char.isprintable())
