"""Routes of what can be asked for, and of this host (wire-api 6)."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from createos_engine.api import views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import listing, success
from createos_engine.api.paging import Limit, Offset, page_of
from createos_engine.api.wire import HostView, RootfsView, Rows, ShapeView, answers

router = APIRouter(prefix="/v1", tags=["catalog"])


@router.get("/shapes", responses=answers(Rows[ShapeView]))
async def list_shapes(ported: Ported, limit: Limit = None, offset: Offset = None) -> JSONResponse:
    """List the sizes on offer."""
    page, rows = page_of(limit, offset), ported.catalog.shapes()
    window = rows[page.offset : page.offset + page.limit]
    return listing([views.shape(row) for row in window], len(rows), page.limit, page.offset)


@router.get("/rootfs", responses=answers(RootfsView))
async def list_rootfs(ported: Ported) -> JSONResponse:
    """List the images on offer."""
    return success(views.catalog(ported.catalog.rootfs()))


@router.get("/hosts", responses=answers(Rows[HostView]))
async def list_hosts(_: Caller, ported: Ported, limit: Limit = None, offset: Offset = None) -> JSONResponse:
    """List this host, the only one."""
    page, rows = page_of(limit, offset), [await ported.health.host()]
    window = rows[page.offset : page.offset + page.limit]
    return listing([views.host(row) for row in window], len(rows), page.limit, page.offset)
