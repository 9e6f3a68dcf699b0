"""Who is asking (wire-api 4.1): one credential header, or the peer of the unix socket."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from createos_engine.api.asgi import PEER_UID
from createos_engine.api.ports import Services
from createos_engine.errors import Forbidden, Unauthenticated
from createos_engine.words import User

_HEADERS = ("x-api-key", "x-access-token", "x-auth-token", "authorization")


def services(request: Request) -> Services:
    """Return the services of the app."""
    found: Services = request.app.state.services
    return found


_KEY = APIKeyHeader(
    name="X-Api-Key",
    auto_error=False,
    description="Also X-Access-Token, X-Auth-Token or Authorization: Bearer. The unix socket needs none of them.",
)
# Here for the OpenAPI document; caller reads the headers itself.
Documented = Annotated[str | None, Security(_KEY)]
Ported = Annotated[Services, Depends(services)]


async def caller(request: Request, ported: Ported, _: Documented = None) -> User:
    """Return the user whose credential the request carries, else the unix socket's peer; else Unauthenticated."""
    given = [(name, value) for name in _HEADERS for value in request.headers.getlist(name) if value]
    if len(given) > 1:
        names = ", ".join(name for name, _ in given)
        raise Unauthenticated(f"more than one credential was sent ({names})", hint="send one of them", field="auth")
    if given:
        return await ported.accounts.by_token(_token(*given[0]))
    if (uid := request.scope.get(PEER_UID)) is not None:
        return await ported.accounts.by_uid(uid)
    raise Unauthenticated("no credential was sent", hint="send X-Api-Key, or run createos login", field="auth")


Caller = Annotated[User, Depends(caller)]
# Who may work inside a sandbox: run programs, move files, open tunnels (wire-api 4.3).
RuntimeCaller = Caller


async def local_caller(request: Request, ported: Ported) -> User:
    """Return the caller if he is on the unix socket; Forbidden for everybody else."""
    if PEER_UID not in request.scope:
        raise Forbidden("only a local user on the unix socket may do this", hint="use the socket of createosd")
    return await caller(request, ported)


LocalCaller = Annotated[User, Depends(local_caller)]


def _token(header: str, value: str) -> str:
    if header != "authorization":
        return value.strip()
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("Authorization must be a Bearer token", hint="or send X-Api-Key", field="auth")
    return token.strip()
