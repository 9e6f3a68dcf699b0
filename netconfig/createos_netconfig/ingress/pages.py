"""What a visitor reads when no program of a guest answers. A stranger is told nothing that he does not know."""

from __future__ import annotations

from http import HTTPStatus

import h11


def page(status: int, words: str) -> tuple[h11.Response, h11.Data]:
    """Return a plain page; *words* are for people of this machine, empty for strangers."""
    said = HTTPStatus(status)
    if not words and said is not HTTPStatus.BAD_REQUEST:
        # Whether there is a sandbox that does not answer, or none, is nobody else's business.
        said = HTTPStatus.NOT_FOUND
    text = f"{said.value} {said.phrase}\n" + (f"\n{words}\n" if words else "")
    body = text.encode()
    headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("connection", "close"),
    ]
    return h11.Response(status_code=said.value, reason=said.phrase.encode(), headers=headers), h11.Data(data=body)
