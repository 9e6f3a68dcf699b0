"""Whatever fits the OpenAPI document gets an answer that fits it too, and what does not fit is refused."""

from __future__ import annotations

import pytest
import schemathesis
from createos_engine.api.app import create_app
from createos_engine.words import State
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fakes.rows import sandbox
from tests.fakes.services import KEY, FakeWorld

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def app_with_a_sandbox() -> FastAPI:
    """Return an app over a world with one running sandbox."""
    world = FakeWorld()
    world.sandboxes.add(sandbox(state=State.RUNNING))
    return create_app(world.services)


SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", app_with_a_sandbox(), headers={"Host": "localhost"})


@SCHEMA.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_fits_the_document(case: schemathesis.Case) -> None:
    case.call_and_validate(headers={"X-Api-Key": KEY, "Host": "localhost"}, checks=CHECKS)


def test_operations_are_named_after_their_functions() -> None:
    paths = app_with_a_sandbox().openapi()["paths"]

    names = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(set(names)) == len(names)
    assert "create_sandbox" in names


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_there_are_no_pages_for_browsers(page: str) -> None:
    assert page not in [getattr(route, "path", "") for route in app_with_a_sandbox().routes]


def test_every_route_says_how_it_fails() -> None:
    paths = app_with_a_sandbox().openapi()["paths"]

    for path in paths.values():
        for operation in path.values():
            assert {"200", "4XX", "5XX"} <= set(operation["responses"])
            assert "422" not in operation["responses"]
