"""The system's SSH client through the gateway: its key is pinned, ours is let in with consent."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from createos_cli.client import JsonObject, segment
from createos_cli.errors import CliError, Usage
from createos_cli.session import Session
from createos_cli.ssh_keys import Identity, find_identity, same_key


def run_ssh(session: Session, sandbox_id: str, *, identity: str, user: str, consent: bool) -> int:
    """Open a shell with `ssh` and return its exit code. Raises Usage without a key, CliError without a gateway."""
    if user != "root":
        raise Usage(
            f"the gateway signs in as the image's own user, not as {user}", hint=f"inside the sandbox: su - {user}"
        )
    key = find_identity(session.around.home, identity)
    gateway = session.client.get("/v1/ssh-gateway")
    if reason := gateway.get("reason"):
        raise CliError(f"there is no SSH gateway: {reason}", hint="createos sandbox shell my-box needs none")
    _let_in(session, sandbox_id, key, consent=consent)
    with tempfile.NamedTemporaryFile("w", prefix="createos-known-hosts-") as known:
        host, port = str(gateway["host"]), int(gateway["port"])
        known.write(f"[{host}]:{port} {_host_key(gateway)}\n")
        known.flush()
        argv = ["ssh", *_options(key.private, Path(known.name)), "-p", str(port), "-l", sandbox_id, host]
        try:
            return subprocess.run(argv, check=False).returncode
        except FileNotFoundError as exc:
            raise CliError("there is no ssh on this machine", hint="install openssh-client") from exc


def _options(private: Path, known_hosts: Path) -> list[str]:
    """Only this key, no agent, and the gateway must be the one the server told us of."""
    options = {
        "IdentityFile": str(private),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "LogLevel": "ERROR",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _let_in(session: Session, sandbox_id: str, key: Identity, *, consent: bool) -> None:
    """Add the public key unless the sandbox has it; ask first, since keys cannot be taken away again."""
    path = f"/v1/sandboxes/{segment(sandbox_id)}"
    known = [str(line) for line in session.client.get(path).get("ssh_pubkeys") or []]
    if any(same_key(line, key.public_key) for line in known):
        return
    if not consent:
        if not session.interactive:
            raise Usage("the sandbox does not know this key yet", hint="add --yes to let it in")
        from createos_cli.prompts import confirm

        confirm(session, f"Let the key {key.private}.pub into the sandbox ({len(known)} others are in)?")
    session.client.post(f"{path}/ssh-pubkeys", {"keys": [key.public_key]})


def _host_key(gateway: JsonObject) -> str:
    """Return `TYPE BASE64` of the gateway's key."""
    words = str(gateway.get("host_key", "")).split()
    if len(words) < 2:
        raise CliError("the server does not say by which key to know its gateway", hint="update createosd")
    return " ".join(words[:2])
