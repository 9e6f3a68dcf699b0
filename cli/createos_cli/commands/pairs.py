"""`KEY=VALUE` words of `--env`."""

from __future__ import annotations

from collections.abc import Iterable

from createos_cli.errors import Usage


def parse_pairs(texts: Iterable[str], flag: str) -> dict[str, str]:
    """Split each text at its first `=`; a later key wins. Commas are part of the value (cli-behaviour 1.7)."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Usage(f"{flag} {text} is not KEY=VALUE", hint=f"for example: {flag} GREETING=hello")
        pairs[key] = value
    return pairs
