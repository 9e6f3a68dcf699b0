"""The questions of `create` when no size was given on a terminal (cli-behaviour 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from createos_cli import prompts
from createos_cli.client import JsonObject
from createos_cli.commands.answers import Answers
from createos_cli.commands.catalog import ALL_ROWS, shape_table
from createos_cli.durations import parse_auto_pause
from createos_cli.errors import ApiFailure, Cancelled, CliError, Usage
from createos_cli.session import Session
from createos_cli.ssh_keys import own_public_keys, read_public_key

LISTED = 200


def complete(session: Session, given: Answers) -> Answers:
    """Ask for what *given* leaves open and return all of it. Leaving the question of the size raises Cancelled."""
    return Answers(
        shape=given.shape or _shape(session),
        name=given.name or prompts.ask(session, "Name (empty: one is made up):", optional=True),
        rootfs=given.rootfs or _image(session),
        ingress=given.ingress or prompts.agree(session, "Public URL?"),
        networks=given.networks or _networks(session),
        keys=given.keys or _keys(session),
        auto_pause_s=given.auto_pause_s or _auto_pause(session),
    )


def _shape(session: Session) -> str:
    rows = session.client.rows("/v1/shapes", limit=ALL_ROWS)
    if not rows:
        raise CliError("the server offers no shapes", hint="createosd doctor")
    _, *lines = shape_table(rows, session.output)
    return str(rows[prompts.choose(session, "Size?", lines)]["id"])


def _image(session: Session) -> str:
    """Return an image, empty for the server's default; leaving the question means the default too."""
    try:
        catalog = session.client.get("/v1/rootfs")
        templates = _rows(session, "/v1/templates", "templates")
        names, lines = _images(catalog, templates)
        return names[prompts.choose(session, "Image?", lines)]
    except Cancelled:
        _note(session, "The default image is used.")
    except CliError as exc:
        _note(session, f"The images could not be listed, the default is used: {exc.message}")
    return ""


def _images(catalog: JsonObject, templates: Sequence[JsonObject]) -> tuple[list[str], list[str]]:
    """Return names and lines of the same order: the default, built-in images, templates that can be used."""
    described = {entry.get("name"): entry.get("description", "") for entry in catalog.get("entries") or []}
    built_in = [str(name) for name in catalog.get("rootfs") or []]
    ready = [str(row.get("name")) for row in templates if row.get("status") == "ready"]
    lines = [f"Use the default ({catalog.get('default')})"]
    lines += [f"{name}  {described.get(name, '')}".rstrip() for name in built_in]
    lines += [f"{name}  your template" for name in ready]
    return ["", *built_in, *ready], lines


def _networks(session: Session) -> tuple[str, ...]:
    rows = _rows(session, "/v1/networks", "private networks")
    if not rows:
        return ()
    places = prompts.choose_several(
        session, "Private networks?", [str(row.get("name")) for row in rows], none_is_fine=True
    )
    return tuple(str(rows[place]["id"]) for place in places)


def _rows(session: Session, path: str, what: str) -> list[JsonObject]:
    """Return a list of the server; one that it does not offer is empty, any other failure is noted."""
    try:
        return session.client.rows(path, limit=LISTED)
    except ApiFailure as exc:
        if exc.status != HTTPStatus.NOT_FOUND:
            _note(session, f"The {what} could not be listed: {exc.message}")
    return []


def _keys(session: Session) -> tuple[str, ...]:
    _note(session, "An SSH key lets you in with ssh; createos sandbox shell needs none.")
    paths = own_public_keys(session.around.home)
    if paths:
        shown = [_below_home(path, session.around.home) for path in paths]
        places = prompts.choose_several(session, "SSH keys?", shown, none_is_fine=True)
        return tuple(read_public_key(paths[place], "key") for place in places)
    return _asked_key(session)


def _asked_key(session: Session) -> tuple[str, ...]:
    for _ in range(prompts.TRIES):
        path = prompts.ask_path(session, "SSH public key file (empty: none):")
        if not path:
            return ()
        try:
            return (read_public_key(path, "key"),)
        except Usage as exc:
            session.output.fail_line(exc.message)
    raise Cancelled


def _auto_pause(session: Session) -> int:
    for _ in range(prompts.TRIES):
        text = prompts.ask(session, "Pause when idle for (60s to 24h, empty: never):", optional=True)
        if not text:
            return 0
        try:
            return parse_auto_pause(text)
        except Usage as exc:
            session.output.fail_line(f"{exc.message}; {exc.hint}")
    raise Cancelled


def _below_home(path: Path, home: Path) -> str:
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _note(session: Session, text: str) -> None:
    session.output.remark(session.output.paint(text, "grey"))
