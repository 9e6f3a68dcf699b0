"""Routes of S3 disks (wire-api 14)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from createos_engine.api import disk_views as views
from createos_engine.api.auth import Caller, Ported
from createos_engine.api.disk_requests import DiskRequest, RotateRequest
from createos_engine.api.disk_views import AttachedView, AttachmentView, DetachedView, DiskView, ForgottenView
from createos_engine.api.envelope import listing, success
from createos_engine.api.paging import Limit, Offset, page_of
from createos_engine.api.requests import DiskRef
from createos_engine.api.wire import Rows, answers

router = APIRouter(prefix="/v1", tags=["disks"])

At = Annotated[str, Query(description="Where it is mounted; may be left out when that is only one place.")]


@router.post("/disks", responses=answers(DiskView, "The bucket has answered and is registered."))
async def create_disk(wanted: DiskRequest, user: Caller, ported: Ported) -> JSONResponse:
    """Register an S3 bucket, which must answer within 3 seconds."""
    return success(views.disk(await ported.disks.create(user, wanted.meaning())))


@router.get("/disks", responses=answers(Rows[DiskView]))
async def list_disks(user: Caller, ported: Ported, limit: Limit = None, offset: Offset = None) -> JSONResponse:
    """List the caller's disks, newest first."""
    page = page_of(limit, offset)
    rows, total = await ported.disks.list(user, page)
    return listing([views.disk(row) for row in rows], total, page.limit, page.offset)


@router.get("/disks/{disk_id}", responses=answers(DiskView))
async def get_disk(disk_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Return one disk, by id or name."""
    return success(views.disk(await ported.disks.get(user, disk_id)))


@router.patch("/disks/{disk_id}", responses=answers(DiskView, "The bucket has answered to the new keys."))
async def rotate_disk(disk_id: str, wanted: RotateRequest, user: Caller, ported: Ported) -> JSONResponse:
    """Give a disk other keys."""
    return success(views.disk(await ported.disks.rotate(user, disk_id, wanted.credentials.meaning())))


@router.delete("/disks/{disk_id}", responses=answers(ForgottenView, "It is forgotten; the bucket is as it was."))
async def delete_disk(disk_id: str, user: Caller, ported: Ported) -> JSONResponse:
    """Forget a disk that no sandbox has."""
    await ported.disks.delete(user, disk_id)
    return success(ForgottenView(deleted=True))


@router.get("/sandboxes/{sandbox_id}/disks", responses=answers(Rows[AttachmentView]))
async def list_attachments(
    sandbox_id: str, user: Caller, ported: Ported, limit: Limit = None, offset: Offset = None
) -> JSONResponse:
    """List the disks of a sandbox and how their mounts are doing, newest first."""
    page = page_of(limit, offset)
    rows, total = await ported.attachments.list(user, sandbox_id, page)
    return listing([views.attachment(row) for row in rows], total, page.limit, page.offset)


@router.post("/sandboxes/{sandbox_id}/disks", responses=answers(AttachedView, "It is mounted soon."))
async def attach_disk(sandbox_id: str, wanted: DiskRef, user: Caller, ported: Ported) -> JSONResponse:
    """Give a running sandbox a disk; the list tells when it is mounted."""
    disk = wanted.meaning()
    row = await ported.attachments.attach(user, sandbox_id, disk.ref, disk.mount_path, disk.sub_path)
    return success(AttachedView(id=row.sandbox_id, ok=True))


@router.delete("/sandboxes/{sandbox_id}/disks/{disk_id}", responses=answers(DetachedView, "It is unmounted."))
async def detach_disk(sandbox_id: str, disk_id: str, user: Caller, ported: Ported, mount_path: At = "") -> JSONResponse:
    """Take a disk away from a sandbox."""
    await ported.attachments.detach(user, sandbox_id, disk_id, mount_path.rstrip("/") or None)
    return success(DetachedView(detached=True))
