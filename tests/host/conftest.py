"""Worlds of network namespaces for tests of real packets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address

import pytest
from createos_netconfig.ruleset import Policy

from tests.host.netlab import PRIVATE_SERVER_V4, PRIVATE_SERVER_V6, SERVER_V4, Lab, Namespace, leave_mounts
from tests.host.s3server import S3Server

RESOLVERS = Policy(resolvers=(ip_address(PRIVATE_SERVER_V4), ip_address(PRIVATE_SERVER_V6)))


@pytest.fixture(scope="session", autouse=True)
def _own_mounts() -> None:
    """Modules that run beside each other do not see what the others mount."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        leave_mounts()


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


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Return an S3 server on an address of its own namespace, in which the tests of a module run then."""
    namespace = Namespace()
    namespace.ip(f"addr add {SERVER_V4}/32 dev lo")
    with namespace.entered():
        server = S3Server(tmp_path_factory.mktemp("s3"), SERVER_V4)
        yield server
        server.close()
    namespace.close()
