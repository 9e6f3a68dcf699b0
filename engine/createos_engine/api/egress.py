"""Routes of egress rules (wire-api 11); denials and explain are additions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from createos_engine.api import traffic_views as views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import listing, success
from createos_engine.api.paging import Limit, Offset, page_of
from createos_engine.api.requests import EgressRequest
from createos_engine.api.traffic_wire import DenialView, EgressView, ExplanationView
from createos_engine.api.wire import Rows, answers

router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}/egress", tags=["egress"])
Port = Annotated[int, Query(ge=0, le=65535, description="Port; 0 or left out means any.")]


@router.get("", responses=answers(EgressView))
async def get_egress(sandbox_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Return the rules; none means that everything outside is allowed."""
    return success(views.egress(await ported.egress.get(user, sandbox_id)))


@router.put("", responses=answers(EgressView, "The rules are in force."))
async def replace_egress(
    sandbox_id: str, user: Caller, ported: Ported, wanted: EgressRequest | None = None
) -> JSONResponse:
    """Replace all rules; no body, null, [] and ["*"] allow everything."""
    rules = (wanted.egress if wanted else None) or []
    return success(views.egress(await ported.egress.replace(user, sandbox_id, rules)))


@router.get("/denials", responses=answers(Rows[DenialView]))
async def list_denials(
    sandbox_id: str, user: Caller, ported: Ported, limit: Limit = None, offset: Offset = None
) -> JSONResponse:
    """List what was refused lately and why, the latest first."""
    page = page_of(limit, offset)
    rows = [views.denial(row) for row in reversed(await ported.egress.denials(user, sandbox_id))]
    return listing(rows[page.offset : page.offset + page.limit], len(rows), page.limit, page.offset)


@router.get("/explain", responses=answers(ExplanationView))
async def explain_egress(
    sandbox_id: str, user: Caller, ported: Ported, host: Annotated[str, Query(max_length=300)], port: Port = 0
) -> JSONResponse:
    """Say what would become of a connection to a host, and why."""
    return success(views.explanation(host, port, await ported.egress.explain(user, sandbox_id, host, port)))
