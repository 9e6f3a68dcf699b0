"""Egress rules as they are asked for: presets put in place, form checked, `*` and nothing made one thing."""

from __future__ import annotations

from collections.abc import Iterable

from createos_netconfig.errors import NetconfigError
from createos_netconfig.presets import expand
from createos_netconfig.rules import parse

from createos_engine.errors import Invalid


def checked(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the rules to keep, none when everything is allowed; Invalid (field egress) for the first bad one."""
    try:
        rules = parse(expand(texts))
    except NetconfigError as exc:
        raise Invalid(exc.reason, hint=exc.hint, field="egress") from exc
    return () if rules.open else tuple(rule.text for rule in rules.rules)
