"""Mutagen for one pair: the gateway, the key and the consent to install it (cli-behaviour 6.3), then its session."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from createos_cli.client import segment
from createos_cli.errors import ApiFailure, Cancelled, CliError, Usage
from createos_cli.prompts import agree
from createos_cli.ssh_keys import Identity, find_identity, same_key
from createos_cli.sync.mutagen import Gateway, Mutagen
from createos_cli.sync.options import Options, Request

if TYPE_CHECKING:
    from createos_cli.session import Session


class NoGateway(CliError):
    """The daemon has no SSH gateway, or the user no key: the built-in engine does without."""


def run_mutagen(session: Session, request: Request, options: Options, home: Path, program: str) -> int:
    """Synchronise until interrupted, or with `--once` until both sides agree."""
    gateway, identity = _gateway(session), _identity(session, request)
    _install_key(session, request, options, identity)
    mutagen = Mutagen(program, home, session.around.environ)
    mutagen.prepare(identity.private, gateway)
    path = f"/v1/sandboxes/{segment(options.sandbox_id)}/exec"
    session.client.post(path, {"cmd": "mkdir", "args": ["-p", options.remote]})
    name = mutagen.create(options, request.exclude, gateway, vcs=request.vcs)
    try:
        if request.once:
            mutagen.flush(name)
            return 0
        return mutagen.monitor(name, quiet=request.quiet)
    except KeyboardInterrupt:
        return 0
    finally:
        mutagen.end(name)


def _gateway(session: Session) -> Gateway:
    try:
        said = session.client.get("/v1/ssh-gateway")
    except ApiFailure as exc:
        raise NoGateway(f"this daemon has no SSH gateway: {exc.message}") from exc
    if not said.get("host_key"):
        raise NoGateway(f"the SSH gateway does not listen: {said.get('reason', 'it is off')}")
    host, port = str(said["host"]), int(said["port"])
    if wanted := session.flags.sandbox_gateway:
        host, _, text = wanted.rpartition(":")
        if not host or not text.isdecimal():
            raise Usage(f"--sandbox-gateway {wanted} is not HOST:PORT", hint="for example: 127.0.0.1:2222")
        port = int(text)
    return Gateway(host, port, str(said["host_key"]))


def _identity(session: Session, request: Request) -> Identity:
    home = session.around.home
    named = request.identity
    if named.startswith("~/"):
        named = str(home / named[2:])
    try:
        return find_identity(home, named)
    except Usage as exc:
        if request.identity:
            raise
        raise NoGateway(exc.message, hint=exc.hint) from exc


def _install_key(session: Session, request: Request, options: Options, identity: Identity) -> None:
    """Add the key to the sandbox's, with consent; one that is there already changes nothing."""
    path = f"/v1/sandboxes/{segment(options.sandbox_id)}"
    keys = [str(key) for key in session.client.get(path).get("ssh_pubkeys") or []]
    if any(same_key(key, identity.public_key) for key in keys):
        return
    if not request.yes:
        mark = fingerprint(identity.public_key)
        question = f"Install {identity.private}.pub ({mark})? The sandbox has {len(keys)} other keys."
        if not session.interactive:
            raise Usage("the SSH key is not yet in the sandbox", hint="--yes installs it, --engine builtin needs none")
        if not agree(session, question, default=True):
            raise Cancelled
    session.client.post(f"{path}/ssh-pubkeys", {"keys": [identity.public_key]})


def fingerprint(public_key: str) -> str:
    """Return the fingerprint of a public key as OpenSSH writes it."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
