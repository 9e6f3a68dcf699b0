"""Worlds of network namespaces for tests of real packets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address

import pytest
from createos_netconfig.ruleset import Policy

from tests.host.netlab import PRIVATE_SERVER_V4, PRIVATE_SERVER_V6, Lab

RESOLVERS = Policy(resolvers=(ip_address(PRIVATE_SERVER_V4), ip_address(PRIVATE_SERVER_V6)))


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Return a world for one test; the test runs in its host namespace."""
    with ExitStack() as closing:
        yield Lab(RESOLVERS, closing)


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    """Return a world for the tests of a module that leave rules and links as they are."""
    with ExitStack() as closing:
        yield Lab(RESOLVERS, closing)
