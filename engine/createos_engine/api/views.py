"""From rows to answers: what is absent is left out, never null (wire-api 0.3, 5.1, 5.2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, cast

from createos_engine.api.network_wire import IngressView, MemberView, NetworkDetails, NetworkView
from createos_engine.api.ports import Services
from createos_engine.api.wire import (
    AccessTokenGivenView,
    AccessTokenView,
    AccountView,
    CreatedView,
    DeletedView,
    ExecView,
    HostView,
    ReadyView,
    ResultView,
    RootfsEntry,
    RootfsView,
    SandboxView,
    ShapeView,
    SshGatewayView,
    StatsView,
    WhoamiView,
)
from createos_engine.network_words import IngressFacts, Member, PrivateNetwork
from createos_engine.words import (
    AccessToken,
    Catalog,
    CatalogEntry,
    CommandResult,
    Counts,
    Host,
    Readiness,
    Sandbox,
    Shape,
    SshGateway,
    State,
    User,
)


def moment(when: datetime) -> str:
    """Return RFC 3339 in UTC with exactly three fractional digits, which every client can parse (wire-api 3)."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def sandbox(row: Sandbox, ported: Services) -> SandboxView:
    """Return the view of 5.2; `reason` is an addition: why a sandbox is in error or failed."""
    view: SandboxView = {
        "id": row.id,
        "name": row.name,
        "status": row.state.value,
        "shape": row.shape,
        "rootfs": row.rootfs,
        "region": ported.region,
        "vcpu": row.vcpu,
        "mem_mib": row.mem_mib,
        "disk_mib": row.disk_mib,
        "created_at": moment(row.created_at),
        "created_by": row.created_by,
        "ingress_enabled": row.ingress_enabled,
    }
    optional = {
        "ip": row.ip if row.state is not State.CREATING else "",
        "ingress_url_template": ported.ingress.url_template(row),
        "running_at": row.running_at and moment(row.running_at),
        "destroyed_at": row.destroyed_at and moment(row.destroyed_at),
        "spawn_ms": row.spawn_ms,
        "egress": list(row.egress),
        "envs": sorted(row.envs),
        "ssh_pubkeys": list(row.ssh_pubkeys),
        "auto_pause_after_seconds": row.auto_pause_after_seconds,
        "paused_at": row.paused_at and moment(row.paused_at),
        "last_resumed_at": row.last_resumed_at and moment(row.last_resumed_at),
        "forked_from": row.forked_from,
        "auto_paused": row.auto_paused or None,
        "fork_receipt": dict(row.receipt),
        "reason": row.reason,
    }
    said = {key: value for key, value in optional.items() if value not in (None, "", [], {})}
    return cast("SandboxView", view | said)


def created(row: Sandbox, ported: Services) -> CreatedView:
    """Return the answer of a create: the union of 5.1 and the view."""
    return {**sandbox(row, ported), "egress": list(row.egress), "bandwidth_quota_bytes": ported.bandwidth.quota_bytes}


def deleted(row: Sandbox) -> DeletedView:
    """Return the answer of a delete."""
    return {"id": row.id, "status": cast("Literal['destroying', 'destroyed', 'failed']", row.state.value)}


def network(row: PrivateNetwork) -> NetworkView:
    """Return a row of GET /v1/networks (wire-api 13)."""
    return {
        "id": row.id,
        "name": row.name,
        "created_at": moment(row.created_at),
        "member_count": row.member_count,
    }


def network_details(row: PrivateNetwork) -> NetworkDetails:
    """Return a network with its members; an address is left out while there is none."""
    return {**network(row), "members": [_member(member) for member in row.members]}


def ingress(facts: IngressFacts) -> IngressView:
    """Return the answer of GET /v1/ingress."""
    optional = {
        "certificate": facts.certificate,
        "https_port": facts.https_port,
        "http_port": facts.http_port,
        "problems": list(facts.problems),
    }
    said = {key: value for key, value in optional.items() if value}
    return cast("IngressView", {"enabled": bool(facts.certificate), "domain": facts.domain, **said})


def _member(row: Member) -> MemberView:
    view: MemberView = {"sandbox_id": row.sandbox_id, "name": row.name, "status": row.state.value}
    if row.ip:
        view["ip"] = row.ip
    return view


def command_result(result: CommandResult) -> ExecView:
    """Return the answer of a buffered exec; bytes that are not UTF-8 become U+FFFD (wire-api 7.2)."""
    said: ResultView = {
        "stdout": result.stdout.decode(errors="replace"),
        "stderr": result.stderr.decode(errors="replace"),
        "exit_code": result.exit_code,
    }
    if result.error:
        said["error"] = result.error
    return {"result": said, "exec_ms": result.exec_ms}


def shape(row: Shape) -> ShapeView:
    """Return a row of GET /v1/shapes."""
    view: ShapeView = {
        "id": row.id,
        "vcpu": row.vcpu,
        "mem_mib": row.mem_mib,
        "default_disk_mib": row.default_disk_mib,
    }
    if row.cpu_quota_pct is not None:
        view["cpu_quota_pct"] = row.cpu_quota_pct
    return view


def catalog(rows: Catalog) -> RootfsView:
    """Return the answer of GET /v1/rootfs."""
    entries = [_entry(row) for row in rows.entries]
    return {"rootfs": [row.name for row in rows.entries], "default": rows.default, "entries": entries}


def _entry(row: CatalogEntry) -> RootfsEntry:
    entry: RootfsEntry = {"name": row.name, "description": row.description}
    if row.deprecated:
        entry["deprecated"] = True
    if row.successor:
        entry["successor"] = row.successor
    return entry


def host(row: Host) -> HostView:
    """Return a row of GET /v1/hosts; `accelerator` is an addition."""
    return {
        "id": row.id,
        "status": cast("Literal['active', 'draining', 'dead']", row.status),
        "free_mib": row.free_mib,
        "vm_count": row.vm_count,
        "rootfses": list(row.rootfses),
        "accelerator": row.accelerator.value,
    }


def readiness(state: Readiness) -> ReadyView:
    """Return the answer of GET /readyz; `notes` is an addition."""
    view: ReadyView = {"ready": state.ready}
    if state.reason:
        view["reason"] = state.reason
    if state.notes:
        view["notes"] = list(state.notes)
    return view


def ssh_gateway(state: SshGateway) -> SshGatewayView:
    """Return the answer of GET /v1/ssh-gateway."""
    optional = {"host_key": state.host_key, "fingerprint": state.fingerprint, "reason": state.reason}
    said = {key: value for key, value in optional.items() if value}
    return cast("SshGatewayView", {"host": state.host, "port": state.port} | said)


def whoami(user: User, counts: Counts) -> WhoamiView:
    """Return the answer of GET /v1/whoami."""
    stats: StatsView = {
        "running": counts.running,
        "paused": counts.paused,
        "other": counts.other,
        "total": counts.total,
    }
    return {"user_id": user.id, "stats": stats}


def account(user: User) -> AccountView:
    """Return the user as the main API of the hosted service does (wire-api 4.2)."""
    return {
        "id": user.id,
        "username": user.name,
        "displayName": user.name,
        "email": f"{user.name.replace(' ', '-')}@localhost",
        "createdAt": moment(user.created_at),
    }


def access_token(row: AccessToken | None) -> AccessTokenView:
    """Return the answer of GET …/access-token."""
    if row is None:
        return {"enabled": False}
    view: AccessTokenView = {"enabled": True, "token_hint": row.hint, "created_at": moment(row.created_at)}
    if row.rotated_at:
        view["rotated_at"] = moment(row.rotated_at)
    return view


def access_token_given(token: str, row: AccessToken) -> AccessTokenGivenView:
    """Return the only answer that holds a token."""
    view: AccessTokenGivenView = {"token": token, "enabled": True, "created_at": moment(row.created_at)}
    if row.rotated_at:
        view["rotated_at"] = moment(row.rotated_at)
    return view
