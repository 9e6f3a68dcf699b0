"""Egress and bandwidth as the official Python SDK uses them."""

from __future__ import annotations

import createos
import pytest

from tests.contract.conftest import EGRESS_RULES


def test_rules_of_a_create_are_there(box: createos.SandboxInstance) -> None:
    assert box.egress().egress_rules == EGRESS_RULES
    assert box.egress().id == box.data.id


def test_rules_are_replaced_and_cleared(box: createos.SandboxInstance) -> None:
    assert box.set_egress(["*.example.org", "192.0.2.7:22"]).egress_rules == ["*.example.org", "192.0.2.7:22"]
    assert box.egress().egress_rules == ["*.example.org", "192.0.2.7:22"]
    assert box.set_egress(["*"]).egress_rules == []
    assert box.set_egress([]).egress_rules == []
    assert box.set_egress(EGRESS_RULES).egress_rules == EGRESS_RULES


def test_a_malformed_rule_is_refused(box: createos.SandboxInstance) -> None:
    with pytest.raises(createos.APIError) as refused:
        box.set_egress(["https://example.org"])

    assert refused.value.status_code == 400


def test_bandwidth_is_counted_and_unmetered(box: createos.SandboxInstance) -> None:
    bandwidth = box.bandwidth()

    assert (bandwidth.id, bandwidth.quota_bytes, bandwidth.capped) == (box.data.id, -1, False)
    assert bandwidth.used_bytes >= 0
    assert bandwidth.ingress_bytes >= 0


def test_a_recharge_of_an_unmetered_sandbox_changes_nothing(box: createos.SandboxInstance) -> None:
    assert box.recharge_bandwidth(1000).quota_bytes == -1
    with pytest.raises((createos.APIError, ValueError)):
        box.recharge_bandwidth(0)
