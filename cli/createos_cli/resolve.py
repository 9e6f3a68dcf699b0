"""From what the user typed to a sandbox id: name, id, or a unique beginning of either (cli-behaviour 1.8)."""

from __future__ import annotations

import string
from collections.abc import Sequence

from createos_cli.client import Client, JsonObject
from createos_cli.errors import Ambiguous, CliError, NoMatch, NotSignedIn, Usage
from createos_cli.formats import instant, label

ID_PREFIX = "sb-"
ID_LENGTH = len(ID_PREFIX) + 26
ID_CHARACTERS = frozenset(string.digits + string.ascii_lowercase)
LOOKED_THROUGH = 200
CANDIDATES_SHOWN = 10


def resolve(client: Client, reference: str) -> str:
    """Return the id of the sandbox meant; ask the server only when the text is not a whole id."""
    text = reference.strip()
    if not text:
        raise Usage("the sandbox reference is empty", hint="give a name, an id or the beginning of one")
    if _is_whole_id(text):
        return text
    try:
        rows = client.rows("/v1/sandboxes", limit=LOOKED_THROUGH)
    except NotSignedIn:
        raise
    except CliError:
        if text.startswith(ID_PREFIX):
            return text
        raise
    return match(text, rows)


def match(text: str, rows: Sequence[JsonObject]) -> str:
    """Pick the sandbox that *text* means among *rows*; raise NoMatch or Ambiguous."""
    newest_first = sorted(rows, key=lambda row: instant(row.get("created_at")), reverse=True)
    key = "id" if text.startswith(ID_PREFIX) else "name"
    exact = [row for row in newest_first if row.get(key) == text]
    if exact:
        return str(exact[0]["id"])
    begins = [row for row in newest_first if str(row.get(key, "")).startswith(text)]
    if len(begins) > 1:
        raise Ambiguous(
            f"{text!r} fits {len(begins)} sandboxes: {_candidates(begins)}", hint="type more of the name or id"
        )
    if begins:
        return str(begins[0]["id"])
    if key == "id":
        return text
    raise NoMatch(f"no sandbox matching {text!r}", hint="createos sandbox list --all shows what there is")


def _is_whole_id(text: str) -> bool:
    return text.startswith(ID_PREFIX) and len(text) == ID_LENGTH and ID_CHARACTERS.issuperset(text[len(ID_PREFIX) :])


def _candidates(rows: Sequence[JsonObject]) -> str:
    shown = ", ".join(label(row) for row in rows[:CANDIDATES_SHOWN])
    more = len(rows) - CANDIDATES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
