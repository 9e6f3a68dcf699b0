"""Who may enter which sandbox over SSH, and what a session in it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from createos_engine.drivers.channel.agent import Program
from createos_engine.errors import Conflict, Invalid
from createos_engine.lifecycle import TERMINAL
from createos_engine.pubkeys import KEYS_OF_A_SANDBOX, identity_of, merged
from createos_engine.services.exec import environment
from createos_engine.services.guests import Guest, Guests
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.store.ssh_keys import SshKeyStore
from createos_engine.words import Sandbox, SshGateway, Terminal, User


class SshAccess:
    """The keys of sandboxes and what they open."""

    def __init__(
        self, store: SandboxStore, keys: SshKeyStore, guests: Guests, *, record: Callable[[Sandbox], None]
    ) -> None:
        """`record` writes a sandbox's manifest anew."""
        self._store = store
        self._keys = keys
        self._guests = guests
        self._record = record
        self._gateway = SshGateway("", 0, reason="createosd is starting")

    @property
    def gateway(self) -> SshGateway:
        """Where the gateway is, by its own word."""
        return self._gateway

    def announce(self, gateway: SshGateway) -> None:
        """Hear from the gateway where it is, or why it is not."""
        self._gateway = gateway

    async def add_keys(self, user: User, ref: str, more: tuple[str, ...]) -> int:
        """Add keys in canonical form and return how many the sandbox has now; those it has already change nothing."""
        sandbox = self._store.find(user.id, ref)
        if sandbox.state in TERMINAL:
            raise Conflict(f"sandbox is {sandbox.state}", hint="add the key to one that lives")
        keys, changed = await self._keys.change(sandbox.id, lambda present: _within_limit(merged(present, more)))
        if changed:
            self._record(self._store.get(sandbox.id))
        return len(keys)

    def admitted(self, login: str, key: str) -> tuple[str, ...]:
        """Return the ids of the live sandboxes that have this id or name and this key (`TYPE BASE64`).

        A name is unique only for one user; the key says which of several is meant.
        """
        found = self._keys.by_login(login)
        return tuple(sandbox_id for sandbox_id, keys in found.items() if key in map(identity_of, keys))

    @contextmanager
    def entered(self, sandbox_ids: Sequence[str]) -> Iterator[Guest]:
        """Give the running guest behind a login for the time of a block, which counts as use of the sandbox.

        Raises Conflict when it does not run, or when the login fits several: somebody else could have given his sandbox
        the same name and put the visitor's key into it.
        """
        if len(sandbox_ids) > 1:
            raise Conflict(
                f"several sandboxes have this name and your key: {', '.join(sandbox_ids)}", hint="use the id"
            )
        guest = self._guests.of(sandbox_ids[0])
        with self._guests.use(guest.sandbox.id):
            yield guest


def command(sandbox: Sandbox, line: str | None, wanted: Mapping[str, str], pty: Terminal | None) -> Program:
    """Return a command line in the login shell of the image's user, or that shell itself."""
    argv = () if line is None else (line,)
    return Program(
        argv, env=variables(sandbox, wanted), cwd=home(sandbox), user=sandbox.image.user, shell=True, pty=pty
    )


def variables(sandbox: Sandbox, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a session. What was not declared at create is left out, as sshd does (AcceptEnv)."""
    return environment(sandbox, {key: value for key, value in wanted.items() if key in sandbox.envs})


def home(sandbox: Sandbox) -> str:
    """Return where sessions begin: the image's working directory if it names one, else the user's home."""
    return sandbox.image.working_dir if sandbox.image.working_dir.strip("/") else "~"


def _within_limit(keys: tuple[str, ...]) -> tuple[str, ...]:
    if len(keys) > KEYS_OF_A_SANDBOX:
        raise Invalid(f"a sandbox has at most {KEYS_OF_A_SANDBOX} SSH keys; this would be {len(keys)}", field="keys")
    return keys
