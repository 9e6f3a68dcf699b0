"""What a guest says in JSON. Nothing in it is believed: size, depth, types and characters are checked here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from createos_engine.drivers.channel.errors import AgentError, ProtocolViolation
from createos_engine.errors import GuestFailed

_MAX_DEPTH = 16
_MAX_TEXT = 2_000
_MAX_CODE = 64


def parse_object(payload: bytes, what: str) -> dict[str, object]:
    """Return the JSON object of one frame, at most 16 levels deep; raise ProtocolViolation for anything else."""
    try:
        value = json.loads(payload.decode(), parse_constant=_refuse)
        if b"\\u" in payload:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        raise ProtocolViolation(f"{what} is not valid JSON") from exc
    if not isinstance(value, dict):
        raise ProtocolViolation(f"{what} is not a JSON object")
    if payload.count(b"{") + payload.count(b"[") > _MAX_DEPTH and _is_deep(value):
        raise ProtocolViolation(f"{what} has more than {_MAX_DEPTH} levels of JSON")
    return value


def parse_error(payload: bytes) -> AgentError:
    """Return the failure that an ERROR frame tells of."""
    said = parse_object(payload, "an ERROR")
    code = printable(said.get("code"), _MAX_CODE) or "failed"
    return AgentError(code, printable(said.get("message")) or "the agent gave no reason")


def printable(value: object, limit: int = _MAX_TEXT) -> str:
    """Return a guest's text as people may see it: no control characters, bounded. Anything but text is empty."""
    text = value if isinstance(value, str) else ""
    return "".join(character if character.isprintable() else " " for character in text[:limit]).strip()


def integer(said: Mapping[str, object], key: str, *, at_most: int = 2**63 - 1) -> int:
    """Return the non-negative number *key* of an answer, or raise GuestFailed."""
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= at_most:
        raise GuestFailed(f"the guest agent's answer has no valid {key}", hint=_UPDATE)
    return value


def number(said: Mapping[str, object], key: str) -> float:
    """Return the non-negative, finite number *key* of an answer, or raise GuestFailed."""
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise GuestFailed(f"the guest agent's answer has no valid {key}", hint=_UPDATE)
    return float(min(value, 2**63))


_UPDATE = "the agent in the image may be of another version: build the images again"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    """Return the containers directly inside a container."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [inner for inner in inside if isinstance(inner, dict | list)]
