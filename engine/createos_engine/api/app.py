"""The application: every route, every handler of failures."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from createos_engine.api import (
    access_tokens,
    accounts,
    bandwidth,
    catalog,
    checkpoints,
    disks,
    egress,
    exec,
    files,
    health,
    ingress,
    networks,
    processes,
    resizes,
    sandboxes,
    shells,
    snapshots,
    ssh,
    syncs,
    templates,
    tunnels,
)
from createos_engine.api.asgi import Entrance
from createos_engine.api.envelope import engine_error, http_error, malformed
from createos_engine.api.ports import Services
from createos_engine.api.wire import FAILURES
from createos_engine.errors import EngineError

_ROUTES = (
    ssh,
    health,
    catalog,
    accounts,
    access_tokens,
    exec,
    networks,
    disks,
    ingress,
    sandboxes,
    resizes,
    files,
    tunnels,
    syncs,
    snapshots,
    checkpoints,
    templates,
    egress,
    bandwidth,
    processes,
    shells,
)


def create_app(services: Services, *, allowed_hosts: tuple[str, ...] = ()) -> FastAPI:
    """Return the app over *services*; *allowed_hosts* are Host names on TCP beside the loopback ones."""
    app = FastAPI(
        title="createos-local",
        version=services.version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    for module in _ROUTES:
        app.include_router(module.router, responses=FAILURES)
    app.add_exception_handler(EngineError, engine_error)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, http_error)
    app.add_middleware(Entrance, allowed_hosts=allowed_hosts)
    return app
