"""`login`, `logout`, `whoami`, `version`: who is asking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from createos_cli.client import JsonObject
from createos_cli.credentials import Credential, check_token
from createos_cli.errors import ApiFailure, BadAnswer, CliError, NotSignedIn, Unreachable, Usage
from createos_cli.formats import local_time
from createos_cli.output import Output
from createos_cli.session import Session

LOGIN_EXAMPLES = """\b
Examples:
  createos login                 a key for your local user, from the daemon on this machine
  createos login --token KEY     a key you already have"""


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("login", epilog=LOGIN_EXAMPLES)(login)
    app.command("logout", epilog=_examples("createos logout"))(logout)
    app.command("whoami", epilog=_examples("createos whoami", "createos whoami --output json | jq -r .user_id"))(whoami)
    app.command("version", epilog=_examples("createos version", "createos --version"))(version)


def login(
    ctx: typer.Context,
    token: Annotated[str, typer.Option("--token", "-t", metavar="KEY", help="Store this key instead.")] = "",
) -> None:
    """Sign in: make a key for your local user, or store yours."""
    session: Session = ctx.obj
    key = check_token(token or _new_token(session))
    user = _verified(session, key)
    session.tokens.write(key)
    document = {**user, "action": "logged_in"}
    session.output.show(document, [f"Signed in to {session.account_endpoint.text} as {_name(user)}."])


def logout(ctx: typer.Context) -> None:
    """Forget the stored key."""
    session: Session = ctx.obj
    if not session.tokens.delete():
        raise NotSignedIn("you are not signed in", hint="createos login signs you in")
    session.output.show({"action": "logged_out"}, ["Signed out; the stored key is removed."])


def whoami(ctx: typer.Context) -> None:
    """Show who you are to the server."""
    session: Session = ctx.obj
    user = session.accounts.get("/v1/users/me")
    counts = session.client.get("/v1/whoami")
    session.output.show({**user, **counts}, _prose(user, counts, session.output))


def version(ctx: typer.Context) -> None:
    """Print the version."""
    from createos_cli.version import installed_version

    session: Session = ctx.obj
    session.output.lines([f"createos {installed_version()}"])


def _examples(*lines: str) -> str:
    return "\n  ".join(("\b\nExamples:", *lines))


def _new_token(session: Session) -> str:
    """Let the local daemon make a key for whoever opens its socket; ask for a key when the server is elsewhere."""
    if session.endpoint.is_loopback:
        return _minted(session)
    if not session.interactive:
        raise Usage(f"signing in to {session.endpoint.text} needs a key", hint="createos login --token KEY")
    from createos_cli.prompts import secret

    return secret(session, f"API key for {session.endpoint.text}:")


def _minted(session: Session) -> str:
    try:
        answer = session.local.post("/v1/local/tokens", {})
    except Unreachable as exc:
        raise Unreachable(
            f"a local sign-in goes through the daemon's socket, and {exc.message}",
            hint=f"{exc.hint}; or store a key you have: createos login --token KEY",
        ) from exc
    token = answer.get("token")
    if not isinstance(token, str):
        raise BadAnswer("the daemon answered without a key", hint="see the daemon's log")
    return token


def _verified(session: Session, key: str) -> JsonObject:
    """Return the key's owner; the stored key stays as it is when there is none."""
    try:
        return session.client_of(session.account_endpoint, Credential(key)).get("/v1/users/me")
    except ApiFailure as exc:
        raise CliError(
            f"the key could not be verified: {exc.message}", hint="nothing was stored; check the key and the server"
        ) from exc


def _name(user: JsonObject) -> str:
    return next((str(user[key]) for key in ("displayName", "username", "email", "id") if user.get(key)), "somebody")


def _prose(user: JsonObject, counts: JsonObject, output: Output) -> Iterator[str]:
    stats = counts.get("stats")
    states = [f"{stats[key]} {key}" for key in ("running", "paused", "other") if stats.get(key)] if stats else []
    yield f"You are {output.paint(_name(user), 'bold')}."
    yield from output.facts(
        [
            ("E-mail", str(user.get("email") or "")),
            ("ID", str(user.get("id") or counts.get("user_id") or "")),
            ("Member since", local_time(user.get("createdAt"))),
            ("Sandboxes", ", ".join(states) or "none"),
        ]
    )
