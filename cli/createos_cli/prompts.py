"""Questions on a terminal. They are written to stderr, so that stdout carries results only."""

from __future__ import annotations

from collections.abc import Sequence

from createos_cli.errors import Cancelled
from createos_cli.formats import printable
from createos_cli.session import Session

TRIES = 3


def ask(session: Session, question: str) -> str:
    """Return a line; raise Cancelled at the end of input or for an empty one."""
    session.output.write_error(f"{question} ".encode())
    answer = session.around.stdin.readline()
    if not answer:
        session.output.write_error(b"\n")
    text = answer.decode(errors="replace").strip()
    if not text:
        raise Cancelled
    return text


def confirm(session: Session, question: str) -> None:
    """Go on only after a yes; anything else raises Cancelled."""
    if ask(session, f"{question} [y/N]").lower() not in ("y", "yes"):
        raise Cancelled


def choose(session: Session, title: str, choices: Sequence[str]) -> int:
    """Return the place of the one choice the user names by its number."""
    return choose_several(session, title, choices, most=1)[0]


def choose_several(session: Session, title: str, choices: Sequence[str], *, most: int = 0) -> list[int]:
    """Return the places of the choices named by number; *most* 0 allows any count. Empty input raises Cancelled."""
    listing = "".join(f"  {number}  {printable(text)}\n" for number, text in enumerate(choices, 1))
    session.output.write_error(f"{title}\n{listing}".encode(errors="replace"))
    for _ in range(TRIES):
        words = ask(session, "Number:" if most == 1 else "Numbers:").replace(",", " ").split()
        numbers = [int(word) for word in words if word.isdecimal()]
        right = len(numbers) == len(words) and all(1 <= number <= len(choices) for number in numbers)
        if right and (not most or len(numbers) <= most):
            return [number - 1 for number in dict.fromkeys(numbers)]
        session.output.remark(f"Write a number from 1 to {len(choices)}; an empty line leaves.")
    raise Cancelled


def secret(question: str) -> str:
    """Return a line that is not shown while it is typed; raise Cancelled for an empty one."""
    from getpass import getpass

    try:
        text = getpass(f"{question} ").strip()
    except EOFError as exc:
        raise Cancelled from exc
    if not text:
        raise Cancelled
    return text
