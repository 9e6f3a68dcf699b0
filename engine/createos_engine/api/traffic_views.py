"""From what leaves and enters sandboxes to answers (wire-api 11, 12)."""

from __future__ import annotations

from createos_engine.api.traffic_wire import BandwidthView, DenialView, EgressView, ExplanationView
from createos_engine.api.views import moment
from createos_engine.traffic import Bandwidth, Denial, Explained
from createos_engine.words import Sandbox


def egress(row: Sandbox) -> EgressView:
    """Return the rules of a sandbox (wire-api 11)."""
    return {"id": row.id, "egress": list(row.egress)}


def denial(row: Denial) -> DenialView:
    """Return a row of the denial log."""
    view: DenialView = {
        "target": row.target,
        "code": row.code,
        "reason": row.reason,
        "count": row.count,
        "first_at": moment(row.first_at),
        "last_at": moment(row.last_at),
    }
    if row.protocol:
        view["protocol"] = row.protocol
        view["port"] = row.port
    return view


def explanation(host: str, port: int, row: Explained) -> ExplanationView:
    """Return what would become of a connection."""
    view: ExplanationView = {
        "host": host,
        "allowed": row.allowed,
        "reason": row.reason,
        "rules": list(row.rules),
    }
    return {**view, "port": port} if port else view


def bandwidth(row: Bandwidth) -> BandwidthView:
    """Return what a sandbox has sent and got (wire-api 12)."""
    return {
        "id": row.sandbox_id,
        "quota_bytes": row.quota_bytes,
        "used_bytes": row.used_bytes,
        "ingress_bytes": row.ingress_bytes,
        "remaining_bytes": row.remaining_bytes,
        "capped": row.capped,
    }
