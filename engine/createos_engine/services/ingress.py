"""Public URLs of sandboxes: who may be visited, and where (wire-api 5.6, design 12).

The engine dials the guest's network interface through its tap, not the agent: a program that listens on 127.0.0.1 alone
is private, as its author meant it, and no byte of a visitor passes the channel that commands and files use.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from createos_netconfig.errors import NetconfigError
from createos_netconfig.ingress.authority import Authority, Contexts
from createos_netconfig.ingress.hostnames import Place, template
from createos_netconfig.ingress.listener import Listener
from createos_netconfig.ingress.upstream import Refused, Target

from createos_engine.errors import EngineError, NotFound
from createos_engine.network_words import IngressFacts
from createos_engine.services.guests import Guests
from createos_engine.settings import Settings
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Sandbox, State

log = structlog.get_logger(__name__)

NO_PORT = -1
_ID_PREFIX = "sb-"


class Ingress:
    """The doors, their authority, and which sandboxes answer behind them."""

    def __init__(
        self,
        store: SandboxStore,
        guests: Guests,
        woken: Callable[[Sandbox], Awaitable[Sandbox]],
        settings: Settings,
        directory: Path,
    ) -> None:
        self._store = store
        self._guests = guests
        self._woken = woken
        self._settings = settings
        self._directory = directory
        self._listener: Listener | None = None
        self._ports: dict[str, int] = {}
        self._certificate = ""
        self.problems: tuple[str, ...] = ()

    async def open(self) -> None:
        """Open the doors; one that cannot be opened is a problem to be said, not the end of the daemon."""
        if not self._settings.ingress_host:
            return
        try:
            authority = Authority(self._directory, self._settings.ingress_domain)
        except NetconfigError as exc:
            self._note(exc)
            return
        self._certificate = authority.pem
        self._listener = Listener(self._settings.ingress_domain, self._lease, Contexts(authority))
        for scheme in ("https", "http"):
            await self._open_door(self._listener, scheme)

    async def close(self) -> None:
        """Close the doors and end all visits."""
        if self._listener:
            await self._listener.close()
            self._listener, self._ports = None, {}

    def url_template(self, sandbox: Sandbox) -> str:
        """Return the URL with the literal `<port>`; empty when the sandbox has none, or nobody could open it."""
        scheme = next(iter(self._ports), "")
        if not sandbox.ingress_enabled or not scheme:
            return ""
        label = sandbox.id.removeprefix(_ID_PREFIX)
        return template(scheme, label, self._settings.ingress_domain, self._ports[scheme])

    def facts(self) -> IngressFacts:
        """Return what is open, and the certificate to trust."""
        return IngressFacts(
            domain=self._settings.ingress_domain,
            certificate=self._certificate,
            https_port=self._ports.get("https"),
            http_port=self._ports.get("http"),
            problems=self.problems,
        )

    async def _open_door(self, listener: Listener, scheme: str) -> None:
        port = {"https": self._settings.ingress_https_port, "http": self._settings.ingress_http_port}[scheme]
        if port == NO_PORT:
            return
        try:
            self._ports[scheme] = await listener.open(scheme, self._settings.ingress_host, port)
        except NetconfigError as exc:
            self._note(exc)

    def _note(self, exc: NetconfigError) -> None:
        log.warning("public URLs are not all available", reason=exc.reason)
        self.problems += (f"ingress: {exc.reason}; {exc.hint}",)

    @asynccontextmanager
    async def _lease(self, place: Place) -> AsyncIterator[Target]:
        """Give the way to a service for the time of one request, which counts as use of the sandbox."""
        sandbox = await self._visitable(f"{_ID_PREFIX}{place.label}")
        with self._guests.use(sandbox.id):
            yield Target(sandbox.ip, place.port, lambda: self._is_open(sandbox))

    async def _visitable(self, sandbox_id: str) -> Sandbox:
        try:
            sandbox = self._store.get(sandbox_id)
        except NotFound as exc:
            raise Refused(404, "there is no such sandbox") from exc
        if not sandbox.ingress_enabled:
            hint = f"createos sandbox edit {sandbox.name} --ingress on"
            raise Refused(404, f"sandbox {sandbox.name} has no public URL; {hint}")
        if self._settings.ingress_resumes and sandbox.auto_paused:
            try:
                sandbox = await self._woken(sandbox)
            except EngineError as exc:
                raise Refused(503, exc.sentence) from exc
        if sandbox.state is not State.RUNNING:
            hint = f"; createos sandbox resume {sandbox.name}" if sandbox.state is State.PAUSED else ""
            raise Refused(503, f"sandbox {sandbox.name} is {sandbox.state}{hint}")
        return sandbox

    def _is_open(self, visited: Sandbox) -> bool:
        with suppress(NotFound):
            now = self._store.get(visited.id)
            return now.ingress_enabled and now.state is State.RUNNING
        return False
