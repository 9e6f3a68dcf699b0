"""`trust`: have this machine believe the certificates of public URLs, and of nothing else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated

import typer

from createos_cli.errors import CliError
from createos_cli.session import Session

NICKNAME = "createos-local"
SYSTEM_FILE = Path("/usr/local/share/ca-certificates/createos-local.crt")
DEADLINE_S = 60
EXAMPLES = """\b
Examples:
  sudo createos trust
  createos trust --print > createos-ca.pem
  sudo createos trust --remove"""


def register(group: typer.Typer) -> None:
    """Add the command of this file."""
    group.command("trust", epilog=EXAMPLES)(trust)


def trust(
    ctx: typer.Context,
    remove: Annotated[bool, typer.Option("--remove", help="Believe it no longer.")] = False,
    print_: Annotated[bool, typer.Option("--print", help="Print the certificate and change nothing.")] = False,
) -> None:
    """Trust the public URLs of this server's sandboxes.

    That is names below its domain, and no others.

    Programs that use the system's certificates (curl, git) need root for it; Chromium has a store for each user.
    """
    session: Session = ctx.obj
    if remove:
        done = [*_system(session, ""), *_browser(session, "")]
        session.output.show({"action": "untrusted", "done": done}, done or ["Nothing was installed."])
        return
    found = session.client.get("/v1/ingress")
    certificate = str(found.get("certificate") or "")
    if not certificate:
        raise CliError("this server has no public URLs", hint="set ingress_host; createosd doctor says what is wrong")
    if print_:
        session.output.show({"certificate": certificate, "domain": found.get("domain")}, [certificate.rstrip("\n")])
        return
    done = [*_system(session, certificate), *_browser(session, certificate)]
    if not done:
        raise CliError("nothing could be changed as this user", hint="sudo createos trust")
    session.output.show({"action": "trusted", "domain": found.get("domain"), "done": done}, done)


def _system(session: Session, certificate: str) -> list[str]:
    """Install or (empty certificate) remove it for the whole system; return what was done."""
    if not certificate and not SYSTEM_FILE.exists():
        return []
    try:
        if certificate:
            SYSTEM_FILE.parent.mkdir(parents=True, exist_ok=True)
            SYSTEM_FILE.write_text(certificate)
        else:
            SYSTEM_FILE.unlink(missing_ok=True)
    except OSError as exc:
        session.output.remark(f"{SYSTEM_FILE}: {exc.strerror}; for the whole system: sudo createos trust")
        return []
    verb = "wrote" if certificate else "removed"
    _run(["update-ca-certificates", *([] if certificate else ["--fresh"])])
    return [f"{verb} {SYSTEM_FILE}", "ran update-ca-certificates"]


def _browser(session: Session, certificate: str) -> list[str]:
    """Install or remove it in the store that Chromium keeps for each user, where there is one."""
    store, tool = session.around.home / ".pki" / "nssdb", shutil.which("certutil")
    if not store.is_dir() or tool is None:
        if certificate and store.is_dir():
            session.output.remark("For Chromium: apt-get install libnss3-tools, then createos trust again.")
        return []
    database = ["-d", f"sql:{store}", "-n", NICKNAME]
    if not certificate:
        gone = subprocess.run([tool, "-D", *database], capture_output=True, timeout=DEADLINE_S, check=False)
        return [f"removed it from {store}"] if gone.returncode == 0 else []
    with NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(certificate)
        file.flush()
        _run([tool, "-A", *database, "-t", "C,,", "-i", file.name])
    return [f"added it to {store}, for Chromium"]


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except FileNotFoundError as exc:
        raise CliError(f"{argv[0]} is not installed", hint="apt-get install ca-certificates") from exc
    except subprocess.TimeoutExpired as exc:
        raise CliError(f"{argv[0]} did not end within {DEADLINE_S} s", hint="run it by hand") from exc
    if done.returncode:
        raise CliError(f"{argv[0]}: {(done.stderr or done.stdout).strip()[-300:]}", hint="run it by hand")
