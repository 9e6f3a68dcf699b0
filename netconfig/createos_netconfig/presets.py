"""Lists of rules for things that many sandboxes need: `preset:github` and so on."""

from __future__ import annotations

from collections.abc import Iterable

from createos_netconfig.errors import NetconfigError

PREFIX = "preset:"
PRESETS: dict[str, tuple[str, ...]] = {
    "cargo": ("crates.io:443", "index.crates.io:443", "static.crates.io:443", "static.rust-lang.org:443"),
    "debian": ("deb.debian.org", "security.debian.org", "cdn-fastly.deb.debian.org", "ftp.debian.org"),
    "github": (
        "github.com:443",
        "github.com:22",
        "api.github.com:443",
        "codeload.github.com:443",
        "ghcr.io:443",
        "*.githubusercontent.com:443",
        "*.githubassets.com:443",
    ),
    "npm": ("registry.npmjs.org:443", "registry.yarnpkg.com:443", "nodejs.org:443"),
    "pypi": ("pypi.org:443", "files.pythonhosted.org:443"),
}
# The names that `run --egress-preset` of the official client knows (cli-behaviour 10).
ALIASES = {"python-uv": "pypi", "rust-cargo": "cargo"}


def expand(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the rules with each `preset:NAME` replaced by its own, in order and without repetitions."""
    found: dict[str, None] = {}
    for text in texts:
        found |= dict.fromkeys(_preset(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else (text,))
    return tuple(found)


def _preset(name: str) -> tuple[str, ...]:
    known = ALIASES.get(name, name)
    if known not in PRESETS:
        raise NetconfigError(f"there is no egress preset {name!r}", f"use one of {', '.join(sorted(PRESETS))}")
    return PRESETS[known]
