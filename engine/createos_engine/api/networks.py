"""Routes of private networks (wire-api 13)."""

from __future__ import annotations

import re

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import field_validator

from createos_engine.api import views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.envelope import listing, success
from createos_engine.api.network_wire import NetworkDetails, NetworkDone, NetworkView
from createos_engine.api.paging import Limit, Offset, page_of
from createos_engine.api.requests import Lenient, NetworkRef, Text
from createos_engine.api.wire import Rows, answers
from createos_engine.network_words import PrivateNetwork

router = APIRouter(prefix="/v1", tags=["networks"])

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ID = re.compile(r"net-[0-9a-z]{26}")


class NetworkRequest(Lenient):
    """POST /v1/networks."""

    name: Text

    @field_validator("name")
    @classmethod
    def _name_is_a_label(cls, name: str) -> str:
        if not _NAME.fullmatch(name) or _ID.fullmatch(name):
            raise ValueError(
                "a network's name has 1 to 63 characters of a-z, 0-9 and -, does not begin with - and is no network id"
            )
        return name


@router.post("/networks", responses=answers(NetworkView, "The network is there, without members."))
async def create_network(wanted: NetworkRequest, user: Caller, ported: Ported) -> JSONResponse:
    """Create a private network."""
    return success(views.network(await ported.networks.create(user, wanted.name)))


@router.get("/networks", responses=answers(Rows[NetworkView]))
async def list_networks(user: Caller, ported: Ported, limit: Limit = None, offset: Offset = None) -> JSONResponse:
    """List the caller's networks, newest first."""
    page = page_of(limit, offset)
    rows, total = await ported.networks.list(user, page)
    return listing([views.network(row) for row in rows], total, page.limit, page.offset)


@router.get("/networks/{network_id}", responses=answers(NetworkDetails))
async def get_network(network_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Return one network with its members, by id or name."""
    return success(views.network_details(await ported.networks.get(user, network_id)))


@router.delete("/networks/{network_id}", responses=answers(NetworkDone, "The network is gone."))
async def delete_network(network_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Delete a network that no sandbox is on."""
    return success(_done(await ported.networks.delete(user, network_id)))


@router.post("/sandboxes/{sandbox_id}/networks", responses=answers(NetworkDone, "The sandbox is on the network."))
async def attach_network(sandbox_id: str, wanted: NetworkRef, user: Caller, ported: Ported) -> JSONResponse:
    """Put a running sandbox on a network; repeatable."""
    return success(_done(await ported.networks.attach(user, sandbox_id, wanted.id)))


@router.delete("/sandboxes/{sandbox_id}/networks/{network_id}", responses=answers(NetworkDone, "It is off."))
async def detach_network(sandbox_id: str, network_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Take a sandbox off a network."""
    return success(_done(await ported.networks.detach(user, sandbox_id, network_id)))


def _done(row: PrivateNetwork) -> NetworkDone:
    return {"id": row.id, "ok": True}
