"""Which paths are left out, as regular expressions that Python and the guest's Go read the same way."""

from __future__ import annotations

import re
from collections.abc import Sequence

from createos_cli.errors import Usage

VCS = (".git", ".svn", ".hg", ".bzr", ".jj", "_darcs", "CVS")
MOST_PATTERNS = 1000
_CLASS = re.compile(r"\[(!?)(\]?[^\]\\/]*)\]")


class Skips:
    """What is left out of a synchronisation; a directory that is left out takes everything below it along."""

    def __init__(self, globs: Sequence[str], *, vcs: bool) -> None:
        if len(globs) > MOST_PATTERNS:
            raise Usage(f"there are {len(globs)} --exclude patterns", hint=f"up to {MOST_PATTERNS} are possible")
        self.patterns = [translate(glob) for glob in (*(VCS if vcs else ()), *globs)]
        self._whole = re.compile("|".join(self.patterns), re.DOTALL) if self.patterns else None

    def match(self, path: str, *, directory: bool) -> bool:
        """Say whether a path itself is left out (its parents are not looked at)."""
        if self._whole is None:
            return False
        return self._whole.fullmatch(f"{path}/" if directory else path) is not None


def translate(glob: str) -> str:
    """Turn one glob into a regular expression over paths in which directories end in a slash.

    As in .gitignore: `*.o` at any depth, `/build` or `a/b` from the root, `cache/` directories only, `**` across
    directories. Raises Usage for what is no pattern.
    """
    body = glob.removeprefix("/").removesuffix("/")
    if not body or "\0" in glob or not glob.isprintable():
        raise Usage(f"--exclude {glob!r} is not a pattern", hint="for example: --exclude node_modules --exclude '*.o'")
    anchored = glob.startswith("/") or "/" in body
    prefix = "" if anchored else "(?:.*/)?"
    regex = f"{prefix}{_body(body)}{'/' if glob.endswith('/') else '/?'}"
    try:
        re.compile(regex)
    except re.error as exc:
        raise Usage(f"--exclude {glob!r} cannot be read: {exc}", hint="allowed are * ** ? and [a-z]") from exc
    return regex


def _body(glob: str) -> str:
    out, rest = "", glob
    while rest:
        if rest.startswith("**/"):
            out, rest = out + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            out, rest = out + ".*", rest[2:]
        elif found := _CLASS.match(rest):
            inside = re.sub(r"([\[\]^&~|])", r"\\\1", found[2])
            out, rest = f"{out}[{'^' if found[1] else ''}{inside}]", rest[found.end() :]
        else:
            out, rest = out + {"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0])), rest[1:]
    return out
