"""Who is asking (wire-api 4.1): one credential header, or the peer of the unix socket.

Every route is public, or names one of Caller, LocalCaller and RuntimeCaller; a test walks all routes. RuntimeCaller
alone lets a delegated access token in.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Query, Request, Security
from fastapi.security import APIKeyHeader

from createos_engine.api.asgi import PEER_UID
from createos_engine.api.offers import OFFER, WEBSOCKET, Offer
from createos_engine.api.ports import Services
from createos_engine.api.websocket import KEY_PREFIX, sub_protocols
from createos_engine.errors import Forbidden, Unauthenticated
from createos_engine.words import Grant, User

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


async def identity(request: Request, ported: Ported, _: Documented = None) -> User | Grant:
    """Return who the request's credential stands for, else the unix socket's peer; else raise Unauthenticated."""
    given = [(name, value) for name in _HEADERS for value in request.headers.getlist(name) if value]
    given += _from_browser(request)
    if len(given) > 1:
        names = ", ".join(name for name, _ in given)
        raise Unauthenticated(f"more than one credential was sent ({names})", hint="send one of them", field="auth")
    if given:
        token = _token(*given[0])
        return await ported.access_tokens.grant(token) or await ported.accounts.by_token(token)
    if (uid := request.scope.get(PEER_UID)) is not None:
        return await ported.accounts.by_uid(uid)
    raise Unauthenticated("no credential was sent", hint="send X-Api-Key, or run createos login", field="auth")


Identity = Annotated[User | Grant, Depends(identity)]


async def caller(who: Identity) -> User:
    """Return the user who asks; a delegated access token is no user."""
    if isinstance(who, Grant):
        raise Forbidden("an access token of one sandbox may not do this", hint="use your own API key")
    return who


Caller = Annotated[User, Depends(caller)]


async def runtime_caller(request: Request, who: Identity, ported: Ported) -> User:
    """Return the user for whom something is done inside the sandbox of the path.

    With a delegated access token the path is pinned to that sandbox's id: a name could mean another one a moment later.
    """
    if not isinstance(who, Grant):
        return who
    path = request.path_params
    path["sandbox_id"] = await ported.access_tokens.pin(who, path["sandbox_id"])
    return who.owner


async def caller_inside(
    request: Request,
    user: Annotated[User, Depends(runtime_caller)],
    ported: Ported,
    auto_resume: Annotated[bool, Query(description="Resume it first if it was paused for being idle.")] = False,
    x_auto_resume: Annotated[bool, Header(description="The same as auto_resume.")] = False,
) -> User:
    """Return the user, once a sandbox that was paused for being idle runs again, if that is asked for."""
    if auto_resume or x_auto_resume:
        await ported.wakes.wake(user, request.path_params["sandbox_id"])
    return user


# Who may work inside a sandbox: run programs, move files, open tunnels (wire-api 4.3). The route's path names it.
RuntimeCaller = Annotated[User, Depends(caller_inside)]


async def on_the_socket(request: Request) -> None:
    """Raise Forbidden for everybody who did not come over the unix socket."""
    if PEER_UID not in request.scope:
        raise Forbidden("only a local user on the unix socket may do this", hint="use the socket of createosd")


async def local_caller(_: Annotated[None, Depends(on_the_socket)], user: Caller) -> User:
    """Return the caller if he is on the unix socket."""
    return user


LocalCaller = Annotated[User, Depends(local_caller)]


def _from_browser(request: Request) -> list[tuple[str, str]]:
    """Return the keys that a WebSocket brings as sub-protocols, since a browser can set no header (websocket.py)."""
    offer = request.scope.get(OFFER)
    if not isinstance(offer, Offer) or offer.protocol != WEBSOCKET:
        return []
    keys = (word.removeprefix(KEY_PREFIX) for word in sub_protocols(request) if word.startswith(KEY_PREFIX))
    return [("sec-websocket-protocol", key) for key in keys]


def _token(header: str, value: str) -> str:
    if header != "authorization":
        return value.strip()
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("Authorization must be a Bearer token", hint="or send X-Api-Key", field="auth")
    return token.strip()
