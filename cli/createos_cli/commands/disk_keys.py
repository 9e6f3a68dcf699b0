"""The keys of a bucket as people give them: asked for, from standard input, or as words that everybody can see."""

from __future__ import annotations

from typing import Annotated

import typer

from createos_cli.errors import Usage
from createos_cli.session import Session

STDIN = "-"
AccessKey = Annotated[str, typer.Option("--access-key", metavar="ID", help="Which keys; asked for on a terminal.")]
SecretKey = Annotated[
    str, typer.Option("--secret-key", metavar="KEY|-", help="Their secret, - reads it; asked for on a terminal.")
]
SEEN = (
    "Others on this host can see a secret among the words of a command (ps): --secret-key - reads it, or leave it out."
)


def read_keys(session: Session, access_key: str, secret_key: str, verb: str) -> dict[str, str]:
    """Return the credentials as the API takes them; what is missing is asked for, or a Usage without a terminal."""
    if not session.interactive and not (access_key and secret_key):
        hint = f"for example: createos sandbox disk {verb} --access-key ID --secret-key - < secret"
        raise Usage("the keys are missing: give --access-key and --secret-key", hint=hint)
    return {"access_key": access_key or _asked(session), "secret_key": _secret(session, secret_key)}


def _asked(session: Session) -> str:
    from createos_cli.prompts import ask

    return ask(session, "Access key:")


def _secret(session: Session, given: str) -> str:
    if given and given != STDIN:
        if session.around.stderr_is_terminal:
            session.output.remark(SEEN)
        return given
    if given == STDIN and not session.around.stdin_is_terminal:
        return _line(session)
    from createos_cli.prompts import secret

    return secret(session, "Secret key:")


def _line(session: Session) -> str:
    text = session.around.stdin.readline().decode(errors="replace").strip()
    if not text:
        raise Usage("--secret-key - found nothing on standard input", hint="put the secret there: … < secret")
    return text
