"""A request of a guest that is not passed on."""

from __future__ import annotations

from http import HTTPStatus


class Refusal(Exception):
    """Answered with *status*, the S3 error *code* and *sentence*; the endpoint hears nothing of it."""

    def __init__(self, sentence: str, *, status: int = HTTPStatus.FORBIDDEN, code: str = "AccessDenied") -> None:
        super().__init__(sentence)
        self.status = int(status)
        self.code = code
        self.sentence = sentence


def malformed(sentence: str) -> Refusal:
    """Return the refusal of what is not said as S3 says it."""
    return Refusal(sentence, status=HTTPStatus.BAD_REQUEST, code="InvalidRequest")
