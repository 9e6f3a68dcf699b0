"""Questions, written to stderr so that stdout carries results only.

On a real terminal they have arrow keys (questions.py); where standard input is something else, lines are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from createos_cli.errors import Cancelled
from createos_cli.formats import printable
from createos_cli.session import Session

if TYPE_CHECKING:
    from createos_cli.questions import Questions

TRIES = 3


def ask(session: Session, question: str, *, default: str = "", optional: bool = False) -> str:
    """Return a line, *default* for an empty one; Cancelled at the end of input, and for nothing unless *optional*."""
    questions = _questions(session)
    text = questions.ask(question, default) if questions else _line(session, question, default) or default
    if not text and not optional:
        raise Cancelled
    return text


def ask_path(session: Session, question: str) -> str:
    """Return the path of a file, empty for an empty line."""
    questions = _questions(session)
    return questions.path(question) if questions else _line(session, question)


def agree(session: Session, question: str, *, default: bool = False) -> bool:
    """Return whether the answer is yes; an empty line is *default*."""
    if questions := _questions(session):
        return questions.agree(question, default=default)
    answer = _line(session, f"{question} [{'Y/n' if default else 'y/N'}]").lower()
    return answer in ("y", "yes") if answer else default


def confirm(session: Session, question: str) -> None:
    """Go on only after a yes; anything else raises Cancelled."""
    if not agree(session, question):
        raise Cancelled


def choose(session: Session, title: str, choices: Sequence[str]) -> int:
    """Return the place of the one choice."""
    if questions := _questions(session):
        return questions.choose(title, choices)
    return _numbers(session, title, choices, most=1)[0]


def choose_several(session: Session, title: str, choices: Sequence[str], *, none_is_fine: bool = False) -> list[int]:
    """Return the places of the choices; raise Cancelled for none unless *none_is_fine*."""
    if questions := _questions(session):
        places = questions.choose_several(title, choices)
    else:
        places = _numbers(session, title, choices, none_is_fine=none_is_fine)
    if not places and not none_is_fine:
        raise Cancelled
    return places


def secret(session: Session, question: str) -> str:
    """Return a line that is not shown while it is typed; raise Cancelled for an empty one."""
    questions = _questions(session)
    text = questions.secret(question) if questions else _line(session, question)
    if not text:
        raise Cancelled
    return text


def _questions(session: Session) -> Questions | None:
    around = session.around
    if not around.stdin_is_terminal:
        return None
    from createos_cli.questions import Questions

    return Questions(colour=not around.environ.get("NO_COLOR"), on_stderr=around.stderr_is_terminal)


def _line(session: Session, question: str, default: str = "") -> str:
    """Return a line of standard input; raise Cancelled at its end."""
    shown = f"{question} [{default}] " if default else f"{question} "
    session.output.write_error(shown.encode(errors="replace"))
    answer = session.around.stdin.readline()
    if not answer:
        session.output.write_error(b"\n")
        raise Cancelled
    return answer.decode(errors="replace").strip()


def _numbers(
    session: Session, title: str, choices: Sequence[str], *, most: int = 0, none_is_fine: bool = False
) -> list[int]:
    """Return the places of the choices named by number; *most* 0 allows any count."""
    listing = "".join(f"  {number}  {printable(text)}\n" for number, text in enumerate(choices, 1))
    session.output.write_error(f"{title}\n{listing}".encode(errors="replace"))
    for _ in range(TRIES):
        words = _line(session, "Number:" if most == 1 else "Numbers:").replace(",", " ").split()
        if not words:
            if none_is_fine:
                return []
            raise Cancelled
        numbers = [int(word) for word in words if word.isdecimal()]
        right = len(numbers) == len(words) and all(1 <= number <= len(choices) for number in numbers)
        if right and (not most or len(numbers) <= most):
            return [number - 1 for number in dict.fromkeys(numbers)]
        session.output.remark(f"Write a number from 1 to {len(choices)}; an empty line leaves.")
    raise Cancelled
