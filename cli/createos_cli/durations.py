"""Durations as Go writes them: `10m`, `1h30m`, `90s`; a bare number other than 0 is an error."""

from __future__ import annotations

import re

from createos_cli.errors import Usage

SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
AUTO_PAUSE_S = (60, 24 * 3600)


def parse_duration(text: str) -> float:
    """Return seconds; raise Usage for anything Go's time.ParseDuration refuses."""
    sign, parts = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if parts == "0":
        return 0.0
    if not parts or PART.sub("", parts):
        raise Usage(f"{text!r} is not a duration", hint="write a number and a unit: 90s, 10m, 1h30m")
    return sign * sum(float(number) * SECONDS[unit] for number, unit in PART.findall(parts))


def parse_auto_pause(text: str) -> int:
    """Return whole seconds of idleness after which a sandbox pauses; 60 s to 24 h (cli-behaviour 4.1)."""
    seconds = parse_duration(text)
    low, high = AUTO_PAUSE_S
    if not low <= seconds <= high:
        raise Usage(f"--auto-pause {text} is out of range", hint="it may be 60s to 24h")
    return int(seconds)


def short_duration(seconds: int) -> str:
    """Write whole seconds as people do: `1h30m`, `90s` becomes `1m30s`."""
    parts = ((seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
