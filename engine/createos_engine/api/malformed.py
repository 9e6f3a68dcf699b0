"""What is wrong with the form of a request: one clear sentence for each field (wire-api 2.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_BODY = "body"
_NOT_AN_OBJECT = "the body must be a JSON object, sent with Content-Type: application/json"
_PHRASES = {
    "missing": "is required",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode",
    "int_type": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def sentences(problems: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the first problem of each field; the names are those of the top level, which is what a person sent."""
    found: dict[str, str] = {}
    for problem in problems:
        field, text = _complaint(problem)
        found.setdefault(_printable(field), _printable(text))
    return found


def _complaint(problem: Mapping[str, Any]) -> tuple[str, str]:
    path = problem["loc"][1:]
    if problem["type"] == "json_invalid":
        return _BODY, f"the body is not valid JSON: {problem.get('ctx', {}).get('error', 'it cannot be read')}"
    if not path:
        return _BODY, _NOT_AN_OBJECT
    return str(path[0]), _sentence(path, problem)


def _sentence(path: tuple[str | int, ...], problem: Mapping[str, Any]) -> str:
    context = problem.get("ctx", {})
    if problem["type"] == "value_error":
        return str(context["error"])
    where = str(path[0])
    for part in path[1:]:
        where += f"[{part}]" if isinstance(part, int) else "" if part == "[key]" else f".{part}"
    phrase = _PHRASES.get(problem["type"])
    return f"{where} {phrase.format(**context)}" if phrase else f"{where}: {problem['msg']}"


def _printable(text: str) -> str:
    """Return *text* without the halves of characters that JSON can say and UTF-8 cannot."""
    return text.encode(errors="replace").decode()
