"""One run of the command line: its flags, its server, its output. Commands get this and nothing else."""

from __future__ import annotations

from functools import cached_property

from createos_cli.argv import Globals
from createos_cli.client import Client, Trace
from createos_cli.credentials import Credential, TokenStore, check_token
from createos_cli.output import Output
from createos_cli.profile import Endpoint, account_endpoint, local_endpoint, sandbox_endpoint
from createos_cli.surroundings import Surroundings


class Session:
    """What a command works with; clients are made when first used."""

    def __init__(self, around: Surroundings, flags: Globals, output: Output) -> None:
        self.around = around
        self.flags = flags
        self.output = output
        self.tokens = TokenStore(around.home)
        self.endpoint = sandbox_endpoint(flags.sandbox_api_url, around.environ)
        self.account_endpoint = account_endpoint(flags.api_url, self.endpoint)

    @property
    def interactive(self) -> bool:
        """Whether to ask for what is missing: only standard output decides (cli-behaviour 1.3)."""
        return self.around.stdout_is_terminal

    @cached_property
    def client(self) -> Client:
        """The sandbox API as the signed-in user."""
        return self.client_of(self.endpoint, self._credential)

    @cached_property
    def accounts(self) -> Client:
        """The account API as the signed-in user."""
        return self.client_of(self.account_endpoint, self._credential)

    @property
    def local(self) -> Client:
        """The daemon of this machine as the unix user who asks."""
        endpoint = self.endpoint if self.endpoint.is_socket else local_endpoint(self.around.environ)
        return self.client_of(endpoint, None)

    def client_of(self, endpoint: Endpoint, credential: Credential | None) -> Client:
        """Return a client for another server or identity."""
        transport = self.around.connect(endpoint)
        return Client(
            endpoint,
            transport,
            credential,
            trace=self._trace,
            on_stale=self._say_stale,
            auto_resume=self.flags.auto_resume,
        )

    @cached_property
    def _credential(self) -> Credential | None:
        """The flag or variable of this run, else the stored key (cli-behaviour 2.2; there are no browser sessions)."""
        return Credential(check_token(self.flags.api_key)) if self.flags.api_key else self.tokens.read()

    @cached_property
    def _trace(self) -> Trace | None:
        if not self.flags.debug:
            return None
        from createos_cli.debug import PrintedTrace

        return PrintedTrace(self.output.remark)

    def _say_stale(self) -> None:
        self.output.remark(
            f"Note: this daemon does not know the key in {self.tokens.path}; going on as your local user "
            "(createos login replaces the key, createos logout removes it)."
        )
